"""Row ids that sort by time: UUID version 7 with a sub-millisecond clock (RFC 9562, method 3)."""

from __future__ import annotations

import secrets
import threading
import time
import uuid

_lock = threading.Lock()
_last = 0


def new_id() -> str:
    """A new id, greater than every id this process made before."""
    global _last
    with _lock:
        # 60 bits of time: milliseconds, then 12 bits (a 4,096th of a millisecond each).
        millis, rest = divmod(time.time_ns(), 1_000_000)
        stamp = max(_last + 1, (millis << 12) | (rest * 4096 // 1_000_000))
        _last = stamp
    value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
