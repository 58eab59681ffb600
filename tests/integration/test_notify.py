"""Notifications through apprise's own HTTP services, to a real server."""

from __future__ import annotations

import json
import logging
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.errors import ConfigurationError, Exit
from ingestctl.notify import Notifier, NotifyFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "hook-secret-1"


@pytest.fixture
def hook() -> Iterator[Any]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            server.got.append((self.path, body))  # type: ignore[attr-defined]
            self.send_response(500 if "fails" in self.path else 200)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.got = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def url(hook: Any, path: str) -> str:
    return f"json://127.0.0.1:{hook.server_address[1]}/{path}/{SECRET}"


def test_everybody_is_told(hook: Any) -> None:
    assert Notifier([url(hook, "a"), url(hook, "b")]).send("[SEV-1] storage", "7 jobs failed") == 2
    assert [path for path, _ in hook.got] == [f"/a/{SECRET}", f"/b/{SECRET}"]
    assert hook.got[0][1]["title"] == "[SEV-1] storage"
    assert hook.got[0][1]["message"] == "7 jobs failed"


def test_one_that_fails_keeps_nobody_else_from_being_told(
    hook: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(NotifyFailed, match=r"1 of 2 not notified: no\. 1 \(json") as raised:
        Notifier([url(hook, "fails"), url(hook, "b")]).send("t", "b")
    assert raised.value.exit is Exit.UNAVAILABLE
    assert f"/b/{SECRET}" in [path for path, _ in hook.got]
    said = str(raised.value) + caplog.text + "".join(capfd.readouterr())
    assert SECRET not in said


def test_nobody_to_tell_and_nonsense_are_configuration(hook: Any) -> None:
    with pytest.raises(ConfigurationError, match="INGESTCTL_NOTIFY_URLS is not set"):
        Notifier([])
    with pytest.raises(ConfigurationError, match="no address") as raised:
        Notifier([f"nonsense-{SECRET}"]).send("t", "b")
    assert SECRET not in str(raised.value)
