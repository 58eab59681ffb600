"""What a person must do by hand where the commands rightly refuse to decide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wrecks.breaks import SIBLING

if TYPE_CHECKING:
    from tests.wrecks.yard import Yard


def lease_runs_out(y: Yard) -> None:
    """The worker died after all."""
    y.sql("UPDATE job_runs SET lease_expires_at = heartbeat_at WHERE status = 'running'")


def payload_corrected(y: Yard) -> None:
    y.set_json("jobs.payload", {})


def source_back(y: Yard) -> None:
    y.source.rules.clear()


def wrong_row_removed(y: Yard) -> None:
    """The audio's own metadata said whose it is; the row was wrong."""
    y.unrecord(y.audio)


def sibling_ended(y: Yard) -> None:
    y.sql("UPDATE jobs SET status = 'canceled' WHERE id = :j", j=SIBLING)
    y.sql("UPDATE job_runs SET status = 'canceled' WHERE job_id = :j", j=SIBLING)
