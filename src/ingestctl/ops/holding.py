"""Holding a video while its objects are moved: a lease on the incident, renewed beside the work."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestctl.domain.errors import IngestError, Interrupted
from ingestctl.domain.job import Lease
from ingestctl.domain.stop import Stop
from ingestctl.pipeline.ownership import Ownership

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.db.holds import CleanupStore, HoldStore
    from ingestctl.db.operator import Incident


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """Who holds, and for how long at a time."""

    owner: str
    """Unique to this process."""
    actor: str
    """The person, for the log."""
    lease_s: float = 60.0
    heartbeat_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Held:
    """A video that is ours for now."""

    incident: Incident
    stop: Stop
    confirm: Callable[[], None]
    """Raise unless it still is; called directly before every change."""


class _Keeper:
    """The hold, as :class:`Ownership` wants a lease kept."""

    def __init__(self, store: HoldStore) -> None:
        self._store = store

    def heartbeat(self, lease: Lease) -> None:
        self._store.renew_hold(lease.run_id, owner=lease.owner, lease_s=lease.seconds)

    confirm = heartbeat


@contextmanager
def held(store: CleanupStore, incident: Incident, terms: HoldTerms, stop: Stop) -> Iterator[Held]:
    """Hold the incident's video for the block. Raises what :meth:`HoldStore.hold` raises."""
    began = time.monotonic()
    got = store.hold(incident, owner=terms.owner, lease_s=terms.lease_s)
    lease = Lease(got.job_id or "", got.video_id or "", got.id, 0, terms.owner, terms.lease_s)
    mine = Stop()
    own = Ownership(_Keeper(store), lease, mine, every_s=terms.heartbeat_s, claimed_at=began)
    try:
        with stop.on_stop(lambda: mine.ask(stop.error or Interrupted("asked to stop"))), own:
            yield Held(got, mine, own.confirm)
    finally:
        with suppress(IngestError):  # it ends by itself where the database is away
            store.drop_hold(got.id, owner=terms.owner)
