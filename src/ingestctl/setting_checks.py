"""What a setting's value must look like, beyond its type. Each check raises ValueError with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ingestctl.db.connect import check_url
from ingestctl.domain.errors import ConfigurationError
from ingestctl.domain.source import BUCKET_NAME
from ingestctl.storage.open import parse_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_HTTP = ("http", "https")
_PROXY = (*_HTTP, "socks4", "socks4a", "socks5", "socks5h")


def http_url(text: str) -> None:
    """An address of a server."""
    _address(text, _HTTP)


def proxy_url(text: str) -> None:
    """An address of a proxy, of a kind that yt-dlp can use."""
    _address(text, _PROXY)


def database_url(text: str) -> None:
    """See :func:`ingestctl.db.connect.check_url`."""
    _asked(check_url, text)


def storage_url(text: str) -> None:
    """See :func:`ingestctl.storage.open.parse_url`."""
    _asked(parse_url, text)


def bucket_name(text: str) -> None:
    """A name that a job's payload could name too."""
    if not BUCKET_NAME.fullmatch(text):
        raise ValueError("a bucket's name is 2 to 255 letters, digits, '.', '_' and '-', no sign first")


def _address(text: str, schemes: Sequence[str]) -> None:
    begin = [f"{scheme}://" for scheme in schemes]
    if not text.lower().startswith(tuple(begin)):
        raise ValueError(f"it must begin with {' or '.join(begin)}")
    try:
        parts = urlsplit(text)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("it names no host, or a port that is none")


def _asked(check: Callable[[str], object], text: str) -> None:
    """Have an adapter look at its own address."""
    try:
        check(text)
    except ConfigurationError as error:
        raise ValueError(f"{error.message}. {error.hint}".rstrip(". ")) from None
