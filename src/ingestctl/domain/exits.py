"""Process exit codes: 1x do not retry as is, 2x retry later."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Process exit codes. The table in docs/reference/exit-codes.md is generated from this."""

    DONE = 0
    BUG = 1
    USAGE = 2
    CHANGES_PENDING = 3
    NOT_FOUND = 10
    VERIFICATION_FAILED = 11
    CONFIRMATION_NEEDED = 12
    CONFIGURATION = 13
    CONFLICT = 14
    JOB_FAILED = 15
    PARTIAL = 16
    UNAVAILABLE = 20
    BUSY = 21
    DEADLINE = 22
    SIGINT = 130
    SIGTERM = 143
