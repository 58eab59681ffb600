"""What cleanup asks of the database: to keep everybody else off a video, and to settle it in one stroke.

Same rules as :mod:`ingestctl.db.base`. A hold is a lease on an incident, by the database's clock: while
it is live no worker claims a job of that video, and no other cleanup or undo works on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ingestctl.db.operator import IncidentStore, OperatorStore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingestctl.db.operator import Incident
    from ingestctl.domain.artifact import Artifact, ObjectRef


class HoldStore(Protocol):
    """Holds on videos, and the changes made under them. Every write names its holder."""

    def hold(self, incident: Incident, *, owner: str, lease_s: float) -> Incident:
        """Hold the video of ``incident`` for ``lease_s`` seconds.

        Where a cleanup of the same job was begun and not closed, that incident is held and returned
        instead: it is to be finished first. An incident that is there already (by id, closed or not)
        is held as it is; else it is written, with an event on the job.

        Raises Conflict if an attempt at any job of the video is live, Busy if another holds the video,
        NotFound if the job is gone.
        """
        ...

    def renew_hold(self, incident_id: str, *, owner: str, lease_s: float) -> None:
        """Extend the hold. LostAuthority if it is not ours any more, or ran out."""
        ...

    def drop_hold(self, incident_id: str, *, owner: str) -> None:
        """Let go. Idempotent; nothing if it is not ours."""
        ...

    def settle_cleanup(
        self,
        incident_id: str,
        *,
        owner: str,
        actor: str,
        forget: Sequence[Artifact],
        adopt: Sequence[Artifact],
        reset_reason: str | None,
        payload: Mapping[str, Any],
    ) -> bool:
        """End a cleanup in one transaction; True if the job went (or already was) back in the queue.

        The rows ``forget`` go where they are still as given; ``adopt`` are added where there are none;
        with ``reset_reason`` the job is put back in the queue with its event (not a canceled one); the
        incident is closed with ``payload``, and the hold dropped. LostAuthority if the hold is not ours.
        """
        ...

    def settle_undo(
        self,
        incident_id: str,
        *,
        owner: str,
        actor: str,
        restore: Sequence[Artifact],
        payload: Mapping[str, Any],
    ) -> None:
        """End an undo: add the rows where there are none, an event on the job and an entry on the incident
        (closing it if it was open), drop the hold. LostAuthority if it is not ours.

        A job that is queued, and had no attempt since, gets back the status that the incident remembers
        (``details["status"]`` and ``["attempt"]``), with an event: no worker may meet what was put back.
        """
        ...

    def neighbours(self, ref: ObjectRef, *, limit: int) -> Sequence[ObjectRef]:
        """Other stored artifacts in the same bucket, near this key, for up to ``limit`` other videos."""
        ...


class CleanupStore(OperatorStore, IncidentStore, HoldStore, Protocol):
    """The operator's store with all that a cleanup writes."""
