"""Keeping secrets out of everything printed, logged or stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

MASK = "***"
_MAX_DEPTH = 20
_LONG = 12

_URL = re.compile(r"(?i)\b[a-z][a-z0-9+.-]{1,30}://[^\s\"'<>\\^`{|}]{1,8000}")
_USERINFO = re.compile(r"(?i)^([a-z][a-z0-9+.-]{1,30}://)([^/?#@]*)@")
_SENSITIVE_NAME = re.compile(
    r"(?i)(sig|token|secret|passw|pwd|api[-_]?key|access[-_]?key|credential|auth|session|cookie|^key$|^hmac$|"
    r"^st$|^policy$|^x-(amz|goog|oss)-|^key-pair-id$|^lsig$|^se$|^sp$|^sv$)"
)
_HEADER = re.compile(
    r"(?i)\b(authorization|proxy-authorization|cookie|set-cookie|x-api-key)\s*[:=]\s*[^\r\n]+"
)
_ASSIGNED = re.compile(
    r"(?i)\b((?:[a-z0-9]{1,40}[_-]){0,5}(?:password|passwd|pwd|secret|token|api[_-]?key|secret[_-]?key|"
    r"access[_-]?key))"
    r"(['\"]?\s*[:=]\s*['\"]?)([^\s'\",;&]+)"
)
_SIGNING = re.compile(r"(?i)([?&])(x-(?:amz|goog)-[a-z-]+|signature|sig|token)=([^&\s\"']+)")


class Redactor:
    """Masks known secret values, and whatever looks like a secret by where it stands."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # Longest first, so that a secret containing another is masked whole.
        values = sorted({s for s in secrets if s}, key=len, reverse=True)
        self._known = re.compile("|".join(map(_pattern, values))) if values else None

    def __call__(self, text: str) -> str:
        """Return ``text`` with secrets masked as ``***``."""
        if self._known:
            text = self._known.sub(MASK, text)
        text = _URL.sub(lambda match: _redact_url(match.group()), text)
        text = _SIGNING.sub(rf"\1\2={MASK}", text)
        text = _HEADER.sub(rf"\1: {MASK}", text)
        return _ASSIGNED.sub(rf"\1\2{MASK}", text)

    def data(self, value: Any, depth: int = 0) -> Any:
        """Return JSON-like ``value`` with every string in it redacted, and what a key calls secret masked."""
        if isinstance(value, str):
            return self(value)
        if depth >= _MAX_DEPTH:
            return "…"
        if isinstance(value, Mapping):
            return {
                self(k) if isinstance(k, str) else k: self._item(str(k), v, depth) for k, v in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.data(v, depth + 1) for v in value]
        return value

    def _item(self, key: str, value: Any, depth: int) -> Any:
        if isinstance(value, str) and _SECRET_KEY.search(key):
            return MASK
        return self.data(value, depth + 1)


def _pattern(secret: str) -> str:
    """A long secret wherever it stands; a short one (``minio``) only where it is a whole word."""
    exact = re.escape(secret)
    return exact if len(secret) >= _LONG else rf"(?<![A-Za-z0-9]){exact}(?![A-Za-z0-9])"


_SECRET_KEY = re.compile(r"(?i)(password|passwd|secret|token|api_?key|access_?key|authorization|cookie)$")


def _redact_url(url: str) -> str:
    url = _USERINFO.sub(rf"\1{MASK}@", url)
    head, mark, query = url.partition("?")
    if not mark:
        return url
    pairs = []
    for pair in query.split("&"):
        name, equals, value = pair.partition("=")
        pairs.append(f"{name}={MASK}" if equals and value and _SENSITIVE_NAME.search(name) else pair)
    return f"{head}?{'&'.join(pairs)}"
