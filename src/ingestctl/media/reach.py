"""One cheap request to a source: does it answer? Nothing is downloaded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

from ingestctl.domain.causes import diagnose
from ingestctl.domain.errors import DeadlineExceeded, SourceFailed, SourceRefused
from ingestctl.media.url_guard import Network, check_url, guarded

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_REDIRECTS = 5


def reach(url: str, networks: Iterable[Network], *, timeout_s: float = 10.0) -> str:
    """Ask for the first byte of ``url``; return what was answered, in words.

    One byte by GET, because many servers refuse HEAD; a server that sends everything is hung up on.
    Raises SourceRefused where the address is not allowed, and SourceFailed (with its cause) where there is
    no good answer within ``timeout_s``.
    """
    allowed = tuple(networks)
    late = DeadlineExceeded(f"the source did not answer within {timeout_s:.0f} s")
    with guarded(allowed) as guard:
        timer = threading.Timer(timeout_s, guard.abort, [late])
        timer.daemon = True
        timer.start()
        try:
            status = _status(url, allowed, timeout_s)
        except LocationValueError as error:
            raise SourceRefused(f"The source URL is not a URL: {error}") from None
        except (HTTPError, OSError, DeadlineExceeded, SourceFailed) as error:
            if guard.refusal is not None:
                raise guard.refusal from None
            if isinstance(error, SourceFailed):
                raise
            raise _failed(f"the source cannot be reached: {_reason(error)}") from None
        finally:
            timer.cancel()
    if status >= 400:
        raise _failed(f"the source answers HTTP Error {status}")
    return f"the source answers with status {status}"


def _status(url: str, networks: tuple[Network, ...], timeout_s: float) -> int:
    with urllib3.PoolManager(retries=False) as pool:
        for _ in range(MAX_REDIRECTS + 1):
            check_url(url, networks)
            reply = pool.request(
                "GET",
                url,
                headers={"range": "bytes=0-0", "user-agent": "Mozilla/5.0 (ingestctl)", "accept": "*/*"},
                timeout=urllib3.Timeout(total=timeout_s),
                redirect=False,
                preload_content=False,
            )
            status, location = reply.status, reply.headers.get("location")
            reply.close()
            if not (300 <= status < 400 and location):
                return status
            url = urljoin(url, location)
    words = f"the source redirects more than {MAX_REDIRECTS} times"
    raise SourceFailed(words, cause="invalid_source", retryable="no", evidence=words)


def _failed(message: str) -> SourceFailed:
    found = diagnose(message)
    return SourceFailed(message, cause=found.cause, retryable=found.retryable, evidence=message)


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]
