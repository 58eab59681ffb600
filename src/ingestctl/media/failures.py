"""yt-dlp's failures in our own words: exception types and statuses first, then the cause table's reading."""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import TYPE_CHECKING

from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking.exceptions import CertificateVerifyError, HTTPError, ProxyError, TransportError
from yt_dlp.socks import ProxyError as SocksError
from yt_dlp.utils import GeoRestrictedError, UnsupportedError

from ingestctl.domain.causes import diagnose
from ingestctl.domain.errors import ConfigurationError, IngestError, Retryable, ScratchFull, SourceFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_STATUS = re.compile(r"HTTP Error (\d{3})")
_TRUNCATED = re.compile(r"bytes read(?:, \d+ more expected)?|Connection broken|IncompleteRead|Read timed out")
_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")
_BEHIND_SOCKS = (1, 3, 4, 5, 6, 0x5B)
"""What a SOCKS proxy answers about the host behind it: unreachable, refused, expired, or simply no."""
_NOT_A_SOURCE = ("is not a valid URL", "Unsupported URL", "No suitable extractor")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL_WORDS = tuple(f"[Errno {number}]" for number in _FULL)


def explain(
    error: BaseException,
    said: Sequence[str],
    *,
    status: int | None = None,
    retry_after: float | None = None,
    proxied: bool = False,
) -> IngestError:
    """What ``error`` from yt-dlp means. ``said`` is what it logged, ``status`` and ``retry_after`` the last
    HTTP error answer seen, which matters where only text is left of the exception. Where requests go through
    a proxy (``proxied``), its name is the only one resolved here."""
    links = list(_links(error))
    ours = next((link for link in links if isinstance(link, IngestError)), None)
    if ours is not None:
        return ours
    text = _evidence(error, said)
    full = any(isinstance(x, OSError) and x.errno in _FULL for x in links)
    if full or any(words in text for words in (*_FULL_WORDS, "No space left on device")):
        return ScratchFull("The scratch disk filled up during the download", evidence=text)
    http = next((link.status for link in links if isinstance(link, HTTPError)), None)
    if http is None and (words := _STATUS.search(text)):
        http = int(words[1])
    if proxied and _is_proxys(links, http):
        hint = "Correct INGESTCTL_PROXY, or see to the proxy."
        return ConfigurationError(f"INGESTCTL_PROXY does not work: {text}", evidence=text, hint=hint)
    if http is not None:
        return _of_status(http, text, retry_after if http == status else None)
    cause, retryable = _of_types(links) or _of_text(text)
    return SourceFailed(
        f"The source could not be fetched: {text}", cause=cause, retryable=retryable, evidence=text
    )


def _links(error: BaseException) -> Iterator[BaseException]:
    """Every exception behind ``error``: yt-dlp keeps them in several places."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        link = queue.pop(0)
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        behind = getattr(link, "exc_info", None)
        queue += [behind[1] if isinstance(behind, tuple) and len(behind) > 1 else None]
        queue += [
            getattr(link, "cause", None),
            getattr(link, "reason", None),
            link.__cause__,
            link.__context__,
        ]
        queue += list(getattr(link, "unexpected_errors", None) or ())
        queue += [arg for arg in link.args if isinstance(arg, BaseException)]


def _evidence(error: BaseException, said: Sequence[str]) -> str:
    text = str(error) or next(reversed(said), "") or type(error).__name__
    text = re.sub(r"\x1b\[[0-9;]*m", "", text).replace("\r", " ").removeprefix("ERROR:").strip()
    text = re.sub(r"(?:; )?please report this issue on .*", "", text, flags=re.DOTALL)
    text = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\")]+", r"\1?[redacted]", text)
    return " ".join(text.split())[:500]


def _of_status(status: int, text: str, retry_after: float | None) -> SourceFailed:
    cause: str
    retryable: Retryable
    if status in (401, 402, 403, 407, 451):
        cause, retryable = "download_blocked", "after-fix"
    elif status == 429:
        cause, retryable = "rate_limited", "yes"
    elif status >= 500 or status in (408, 425):
        cause, retryable = "download_timeout", "yes"
    else:
        cause, retryable = "invalid_source", "no"
    return SourceFailed(
        f"The source answered HTTP {status}: {text}",
        cause=cause,
        retryable=retryable,
        evidence=text,
        retry_after=retry_after,
    )


def _is_proxys(links: Sequence[BaseException], http: int | None) -> bool:
    """Whether the proxy failed, and not the source behind it: it is not there, or does not let us in."""
    tunnel = _TUNNEL.search(" ".join(map(str, links)))
    if http == 407 or (tunnel and tunnel[1] == "407"):
        return True
    behind = any(isinstance(link, SocksError) and link.errno in _BEHIND_SOCKS for link in links)
    own = (ProxyError, SocksError, socket.gaierror)
    return not (tunnel or behind) and any(isinstance(link, own) for link in links)


def _of_types(links: Sequence[BaseException]) -> tuple[str, Retryable] | None:
    for link in links:
        if isinstance(link, (CertificateVerifyError, ssl.SSLError)):
            return "download_blocked", "after-fix"
        if isinstance(link, GeoRestrictedError):
            return "download_blocked", "after-fix"
        if isinstance(link, UnsupportedError):
            return "invalid_source", "no"
        if isinstance(link, CookieLoadError):
            return "configuration", "after-fix"
    # That a name is not known may be the resolver's mistake: as the table has it, it is tried again.
    if any(isinstance(link, (ConnectionError, TimeoutError, socket.gaierror)) for link in links):
        return "download_timeout", "yes"
    if any(isinstance(link, TransportError) for link in links):
        return "download_timeout", "yes"
    return None


def _of_text(text: str) -> tuple[str, Retryable]:
    if _TRUNCATED.search(text):
        return "download_timeout", "yes"
    if "Did not get any data blocks" in text or ("fragment" in text.lower() and "not found" in text.lower()):
        return "download_timeout", "yes"
    if any(words in text for words in _NOT_A_SOURCE):
        return "invalid_source", "no"
    found = diagnose(text)
    if found.cause == "internal":
        return "download_blocked", "after-fix"
    return found.cause, found.retryable
