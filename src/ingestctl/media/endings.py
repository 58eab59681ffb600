"""How a file ends, for containers that declare no size: whether their last unit is whole.

A transport stream is made of packets of one size, an Ogg page and an MPEG program stream's packet
tell their own length. One that reaches beyond the end of the file was cut; a cut exactly between two
units leaves no trace. Sources: ISO/IEC 13818-1 (transport and program streams), RFC 3533 (Ogg).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_TAIL = 128 << 10
"""More than two Ogg pages or program stream packets of the largest size."""
_HOLLOW = 4096
_SYNC = 0x47
_PACK = b"\0\0\1\xba"
_START = b"\0\0\1"
_LAYOUTS = ((188, 0), (192, 4), (204, 0))
"""Transport stream packets: their size, and where in them the sync byte is."""


def transport_end(file: BinaryIO, head: bytes, length: int) -> int | None:
    """Where the last packet of a transport stream ends; None if the packets are not in step to the end."""
    layout = _layout(head)
    if layout is None:
        return None
    size, sync = layout
    whole = length // size * size
    file.seek(whole - size)
    last = file.read(2 * size)
    rest = last[size:]
    in_step = last[sync] == _SYNC and (len(rest) <= sync or rest[sync] == _SYNC)
    return (whole + size if rest else whole) if in_step else None


def is_transport(head: bytes) -> bool:
    """Whether a file begins as a transport stream."""
    return _layout(head) is not None


def _layout(head: bytes) -> tuple[int, int] | None:
    return next((layout for layout in _LAYOUTS if _in_step(head, *layout)), None)


def _in_step(data: bytes, size: int, at: int) -> bool:
    """Whether four packets in a row have their sync byte, the first at ``at``."""
    return len(data) > at + 3 * size and all(data[at + n * size] == _SYNC for n in range(4))


def page_end(file: BinaryIO, length: int) -> int | None:
    """Where the last Ogg page ends, of those near the end that follow on each other; None if none does."""
    start, tail = _tail(file, length)
    at = tail.find(b"OggS\0")
    if at < 0:
        return None
    while tail.startswith(b"OggS\0", at):
        sizes = tail[at + 27 : at + 27 + tail[at + 26]] if at + 26 < len(tail) else b""
        at += 27 + (sum(sizes) + len(sizes) or 1)
    return start + at


def program_end(file: BinaryIO, length: int) -> int | None:
    """Where the last packet of an MPEG program stream ends; None if there is none near the end."""
    start, tail = _tail(file, length)
    at = tail.rfind(_PACK)
    if at < 0:
        return None
    while at < len(tail) and tail.startswith(_START, at):
        kind = tail[at + 3] if at + 3 < len(tail) else 0xFF
        if kind == 0xB9:
            at += 4
        elif kind == 0xBA:
            mpeg2 = len(tail) > at + 13 and tail[at + 4] >> 6 == 1
            at += 14 + (tail[at + 13] & 7) if mpeg2 else 12
        else:
            at += 6 + int.from_bytes(tail[at + 4 : at + 6], "big")
        while tail.startswith(b"\0", at) and not tail.startswith(_START, at):  # stuffing
            at += 1
    return start + at


def ruined_end(path: Path) -> str | None:
    """What is wrong with the last bytes of a file, if they are nothing that its container ends with.

    Zeros are space that was set aside and never written. Transport packets may be out of step at the
    end, where recordings were joined, but packets they are.
    """
    length = path.stat().st_size
    if length < 2 * _HOLLOW:
        return None
    with path.open("rb") as file:
        head = file.read(4096)
        _, tail = _tail(file, length)
        if not any(tail[-_HOLLOW:]):
            return "the file ends in zeros"
        end = length
        if head.startswith(b"OggS\0"):
            end = page_end(file, length) or 0
        elif head.startswith(_PACK):
            end = program_end(file, length) or 0
    layout = _layout(head)
    out_of_step = layout is not None and not any(
        _in_step(tail[-5 * layout[0] :], layout[0], at) for at in range(layout[0])
    )
    if out_of_step or any(tail[max(0, len(tail) - (length - end)) :] if end < length else b""):
        return "the file ends in bytes that are none of its container's"
    return None


def _tail(file: BinaryIO, length: int) -> tuple[int, bytes]:
    start = max(0, length - _TAIL)
    file.seek(start)
    return start, file.read(_TAIL)
