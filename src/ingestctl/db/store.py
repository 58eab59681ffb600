# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""The job store on SQLAlchemy Core: the parts of :class:`~ingestctl.db.base.JobStore`, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from ingestctl.db.audit import Audits
from ingestctl.db.claim import Claims
from ingestctl.db.facts import Facts
from ingestctl.db.incidents import Incidents
from ingestctl.db.intake import Intake
from ingestctl.db.owner import OwnerWrites
from ingestctl.db.queries import Queries
from ingestctl.db.types import now

if TYPE_CHECKING:
    from datetime import datetime

    from ingestctl.db.transactions import Database


class SqlJobStore(Audits, Queries, Claims, OwnerWrites, Intake, Incidents, Facts):
    """Implements :class:`~ingestctl.db.base.JobStore`. Made by :func:`ingestctl.db.engine.open_store`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)

    def now(self) -> datetime:
        return self._db.read(lambda c: c.execute(sa.select(now())).scalar_one())

    def close(self) -> None:
        self._db.close()
