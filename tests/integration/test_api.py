"""The client of the platform's API, against a real HTTP server that keeps the contract, and breaks it."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.api.base import ApiRefused, ApiRejected, ApiUnavailable
from ingestctl.api.client import HttpPlatformApi
from ingestctl.domain.errors import Exit, NotFound
from ingestctl.domain.source import Source, SourceKind, source_of_url

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "key-of-the-platform"
SOURCE = source_of_url("https://media.example/a.mp4")


@dataclass
class Platform:
    """What the server was asked, and what it should do instead of answering well."""

    faults: list[Any] = field(default_factory=list)
    asked: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    url: str = ""


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.serve(None)

        def do_POST(self) -> None:
            self.serve(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def serve(self, body: Any) -> None:
            made.asked.append(
                (self.command, self.path, body, {k.lower(): v for k, v in self.headers.items()})
            )
            fault = made.faults.pop(0) if made.faults else None
            if fault == "hang":
                time.sleep(3)
            elif fault == "drop":  # done, and the reply is lost
                self.well(body, send=False)
                self.connection.close()
            elif isinstance(fault, tuple):
                self.reply(*fault)
            else:
                self.well(body)

        def well(self, body: Any, *, send: bool = True) -> None:
            if self.path == "/v1/ingest":
                known = made.answers.get(body["external_id"])
                answer = known or {
                    "job_id": f"j{len(made.answers)}", "video_id": "v1", "status": "queued",
                    "payload_version": "2.0", "idempotent_replay": False,
                }  # fmt: skip
                made.answers[body["external_id"]] = {**answer, "idempotent_replay": True}
                if send:
                    self.reply(201, answer)
            elif self.path == "/v1/jobs/j%2F1":
                self.reply(200, {"id": "j/1", "status": "queued"})
            elif self.path.endswith(("/runs", "/events")):
                self.reply(200, [{"id": "r1"}])
            else:
                self.reply(404, {"error": {"code": "not_found", "message": "no such job"}})

        def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}/v1/"
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture
def api(platform: Platform) -> Iterator[HttpPlatformApi]:
    client = HttpPlatformApi(platform.url, key=KEY, timeout_s=2)
    yield client
    client.close()


def error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": {}, "correlation_id": "c-17"}}


def test_a_source_is_submitted_as_the_contract_says(platform: Platform, api: HttpPlatformApi) -> None:
    done = api.ingest(
        SOURCE, external_id="x1", submitted_by="me", provider="vimeo", metadata={"language_hint": "de"}
    )
    assert (done.job_id, done.video_id, done.status, done.payload_version, done.replay) == (
        "j0", "v1", "queued", "2.0", False,
    )  # fmt: skip
    [(method, path, body, headers)] = platform.asked
    assert (method, path) == ("POST", "/v1/ingest")
    assert headers["authorization"] == f"Bearer {KEY}"
    assert body == {
        "external_id": "x1",
        "source": {
            "kind": "external_url",
            "url": SOURCE.uri,
            "provider": "vimeo",
            "submitted_by": "me",
        },
        "metadata": {"language_hint": "de"},
    }
    api.ingest(Source(SourceKind.UPLOAD, "in/a.mp4"), external_id="x2")
    assert platform.asked[1][2]["source"] == {"kind": "upload", "upload_ref": "in/a.mp4"}


def test_the_same_external_id_again_is_a_replay(api: HttpPlatformApi) -> None:
    first, again = api.ingest(SOURCE, external_id="x"), api.ingest(SOURCE, external_id="x")
    assert (again.job_id, again.replay) == (first.job_id, True)


def test_a_lost_reply_does_not_make_a_second_job(platform: Platform, api: HttpPlatformApi) -> None:
    platform.faults = ["drop"]
    assert api.ingest(SOURCE, external_id="x").job_id == "j0"
    assert len(platform.answers) == 1
    assert len(platform.asked) == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_passes_is_tried_again(platform: Platform, api: HttpPlatformApi, status: int) -> None:
    platform.faults = [(status, error("busy", "later")), (status, b"<html>")]
    assert api.ingest(SOURCE, external_id="x").job_id == "j0"


def test_what_does_not_pass_in_time_is_unavailable(platform: Platform, api: HttpPlatformApi) -> None:
    platform.faults = [(503, error("down", "maintenance"), {"Retry-After": "60"})] * 5
    began = time.monotonic()
    with pytest.raises(ApiUnavailable, match="maintenance") as raised:
        api.ingest(SOURCE, external_id="x")
    assert raised.value.exit is Exit.UNAVAILABLE
    assert raised.value.retry_after == 60
    assert time.monotonic() - began < 1
    platform.faults = ["hang"] * 5
    began = time.monotonic()
    with pytest.raises(ApiUnavailable):
        api.ingest(SOURCE, external_id="x")
    assert time.monotonic() - began < 2.6


def test_a_bad_source_is_rejected_once_with_the_apis_words(platform: Platform, api: HttpPlatformApi) -> None:
    platform.faults = [(400, error("invalid_source", "url is not supported"))]
    with pytest.raises(ApiRejected, match="400: invalid_source: url is not supported") as raised:
        api.ingest(SOURCE, external_id="x")
    assert raised.value.exit is Exit.CONFLICT
    assert raised.value.evidence == "correlation_id c-17"
    assert len(platform.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_configuration_and_is_not_told(
    platform: Platform, api: HttpPlatformApi, status: int
) -> None:
    platform.faults = [(status, error("unauthorized", "bad key"))]
    with pytest.raises(ApiRefused) as raised:
        api.ingest(SOURCE, external_id="x")
    assert raised.value.exit is Exit.CONFIGURATION
    assert KEY not in str(raised.value)


def test_the_key_does_not_follow_a_redirect(platform: Platform, api: HttpPlatformApi) -> None:
    platform.faults = [(302, b"", {"Location": platform.url + "elsewhere"})]
    with pytest.raises(ApiRefused, match="302"):
        api.ingest(SOURCE, external_id="x")
    assert len(platform.asked) == 1


@pytest.mark.parametrize(
    "body", [b"<html>Sign in</html>", b"[]", b'{"job_id": 7}', b"null", b'{"job_id": ""}']
)
def test_an_answer_that_is_not_the_contracts_is_no_success(
    platform: Platform, api: HttpPlatformApi, body: bytes
) -> None:
    platform.faults = [(201, body)] * 3
    with pytest.raises(ApiUnavailable, match="not its contract"):
        api.ingest(SOURCE, external_id="x")


def test_an_endless_answer_is_cut(
    platform: Platform, api: HttpPlatformApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestctl.api.client.MAX_ANSWER_BYTES", 1000)
    platform.faults = [(200, b"[" + b" " * 5000 + b"]")] * 3
    with pytest.raises(ApiUnavailable):
        api.runs("j")


def test_jobs_runs_and_events_are_read(api: HttpPlatformApi) -> None:
    assert api.job("j/1")["status"] == "queued"
    assert api.runs("j")[0]["id"] == "r1"
    assert api.events("j")[0]["id"] == "r1"
    with pytest.raises(NotFound, match="no such job"):
        api.job("other")


def test_nobody_there_is_unavailable(platform: Platform) -> None:
    with pytest.raises(ApiUnavailable, match=r"127\.0\.0\.1:9"):
        HttpPlatformApi("http://127.0.0.1:9", timeout_s=1).job("j")
