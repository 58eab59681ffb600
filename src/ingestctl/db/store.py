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
from ingestctl.db.tables import HEAD, version
from ingestctl.db.types import now
from ingestctl.domain.errors import SchemaOutdated

if TYPE_CHECKING:
    from datetime import datetime

    from ingestctl.db.transactions import Database


class SqlJobStore(Audits, Queries, Claims, OwnerWrites, Intake, Incidents, Facts):
    """Implements :class:`~ingestctl.db.base.JobStore`. Made by :func:`ingestctl.db.engine.open_store`."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)

    @property
    def url(self) -> str:
        return self._db.url

    def check_schema(self) -> None:
        try:
            found = self._db.read(lambda c: c.scalar(sa.select(version.c.version_num)))
        except SchemaOutdated as error:
            if error.hint != SchemaOutdated.default_hint:  # there is no file at all
                raise
            found = None
        if found == HEAD:
            return
        if found is None:
            raise SchemaOutdated(
                f"the database at {self.url} is not set up: its revision is none, not {HEAD}"
            )
        newer = str(found) > HEAD
        hint = "This program is older than the database: install a newer ingestctl." if newer else None
        raise SchemaOutdated(f"the database at {self.url} is at revision {found}, not {HEAD}", hint=hint)

    def now(self) -> datetime:
        return self._db.read(lambda c: c.execute(sa.select(now())).scalar_one())

    def close(self) -> None:
        self._db.close()
