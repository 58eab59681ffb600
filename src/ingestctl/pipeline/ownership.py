"""Keeping a claim: the heartbeat, and the moment authority is lost."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol, Self

from ingestctl.domain.errors import IngestError, LeaseUnrenewed, LostAuthority

if TYPE_CHECKING:
    from types import TracebackType

    from ingestctl.domain.job import Lease
    from ingestctl.domain.stop import Stop

GIVE_UP_SHARE = 0.75
"""Share of the lease without a confirmed heartbeat after which the run stops by itself.

45 s of the default 60: the rest is the margin in which nobody else can have taken the job yet.
"""


class Leases(Protocol):
    """Where a lease is kept: the job store, for an attempt."""

    def heartbeat(self, lease: Lease) -> None:
        """Extend the lease. LostAuthority if it is not ours."""
        ...

    def confirm(self, lease: Lease) -> None:
        """Raise LostAuthority unless the lease is ours and live."""
        ...


class Ownership:
    """Renews a lease on a thread of its own, and asks the run to stop when that is no longer sure.

    Time is the monotonic clock's, counted from *before* the request that renewed the lease, so that a
    slow reply shortens our claim rather than stretching it. A watchdog thread asks to stop even while
    a heartbeat hangs in the network; a process that was paused meets it when it wakes.
    """

    def __init__(self, store: Leases, lease: Lease, stop: Stop, *, every_s: float, claimed_at: float) -> None:
        self._store = store
        self._lease = lease
        self._stop = stop
        self._every_s = every_s
        self._give_up_s = lease.seconds * GIVE_UP_SHARE
        self._renewed_at = self._asked_at = self._awake_at = claimed_at
        self._failure: IngestError | None = None
        self._done = threading.Event()
        self._threads = [
            threading.Thread(target=self._beat, name="heartbeat", daemon=True),
            threading.Thread(target=self._watch, name="lease-watchdog", daemon=True),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._threads[1].join(timeout=1.0)

    def confirm(self) -> None:
        """Raise unless this run may still write: not asked to stop, lease fresh here and in the database.

        Called directly before every step that others can see and the database does not guard itself.
        """
        self._stop.check()
        self._check_clock()
        self._store.confirm(self._lease)
        self._stop.check()

    def _check_clock(self) -> None:
        if self._left() <= 0:
            raise self._too_old()

    def _left(self) -> float:
        return self._renewed_at + self._give_up_s - time.monotonic()

    def _too_old(self) -> LostAuthority:
        message = (
            f"job {self._lease.job_id}: attempt {self._lease.attempt} could not renew its lease for "
            f"{self._give_up_s:.0f} s and stopped"
        )
        # Asked in vain while awake, the database is what is missing; a process that was paused never asked.
        if self._failure or self._renewed_at < self._asked_at < self._awake_at:
            evidence = (self._failure.evidence or self._failure.message) if self._failure else None
            return LeaseUnrenewed(message, job_id=self._lease.job_id, evidence=evidence)
        return LostAuthority(message, job_id=self._lease.job_id)

    def _beat(self) -> None:
        while not self._done.wait(self._every_s):
            self._asked_at = asked_at = time.monotonic()
            try:
                self._store.heartbeat(self._lease)
            except LostAuthority as error:
                if not self._done.is_set():
                    self._stop.ask(error)
                return
            except IngestError as error:
                self._failure = error
                continue  # the watchdog counts; the next beat may get through
            self._renewed_at, self._failure = asked_at, None

    def _watch(self) -> None:
        while not self._done.wait(max(0.05, min(1.0, self._left()))):
            if self._left() <= 0:
                self._stop.ask(self._too_old())
                return
            self._awake_at = time.monotonic()
