"""Text that came from outside, made safe to show: nothing in it can steer the terminal."""

from __future__ import annotations

import unicodedata

_KEEP = {"Cc": False, "Cf": False, "Cs": False, "Co": False, "Cn": False, "Zl": False, "Zp": False}
_JOINERS = {"\u200c", "\u200d"}  # used in real names (Persian, Indic scripts, emoji)


def safe_text(text: str, limit: int | None = None) -> str:
    """Return ``text`` with control, bidi and other invisible characters shown as escapes.

    ``limit`` cuts to that many characters, with an ellipsis. Line breaks and tabs are escapes too:
    one value stays on one line.
    """
    shown = "".join(c if _is_plain(c) else _escape(c) for c in (text if limit is None else text[: limit + 1]))
    if limit is not None and len(shown) > limit:
        return shown[: max(0, limit - 1)] + "…"
    return shown


def _is_plain(char: str) -> bool:
    return char in _JOINERS or _KEEP.get(unicodedata.category(char), True)


def _escape(char: str) -> str:
    names = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\x1b": "\\e"}
    if char in names:
        return names[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
