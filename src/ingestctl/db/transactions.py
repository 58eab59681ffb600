"""Running one short transaction: retried where that is safe, recognised where its COMMIT's reply was lost."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc

from ingestctl.db.changes import EVENT_NOTE
from ingestctl.db.failures import is_disconnect, is_transient, translate
from ingestctl.db.tables import job_events
from ingestctl.domain.errors import DatabaseUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection, Engine

T = TypeVar("T")

TRIES = 5
COMMIT_DOUBT_S = 4.0
"""How long to look for the outcome of a COMMIT whose reply was lost."""


class _CommitDoubt(Exception):
    """The connection broke during COMMIT: it may have happened or not."""

    def __init__(self, result: Any, event_id: str | None, error: exc.DBAPIError) -> None:
        super().__init__(str(error))
        self.result = result
        self.event_id = event_id
        self.error = error


class Database:
    """An engine, and the two ways to use it: read, write. Raises only our errors. Thread-safe."""

    def __init__(self, engine: Engine, url: str, *, timeout_s: float) -> None:
        self._engine = engine
        self.url = url
        """Without the password."""
        self._timeout_s = timeout_s

    @property
    def dialect(self) -> str:
        """``postgresql`` or ``sqlite``."""
        return self._engine.dialect.name

    def close(self) -> None:
        """Close pooled connections. Idempotent."""
        self._engine.dispose()

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction that writes nothing."""
        return self._run(work, read_only=True)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction and commit it.

        ``work`` may be run again after a serialization failure, a lock, or a connection that broke
        before COMMIT was sent. Where the reply to COMMIT is lost, the outcome is told by whether the
        last event that ``work`` wrote is there; a ``work`` that writes none must be idempotent, and
        is run again.
        """
        return self._run(work, read_only=False)

    def _run(self, work: Callable[[Connection], T], *, read_only: bool) -> T:
        deadline = time.monotonic() + self._timeout_s
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES or time.monotonic() > deadline
            try:
                return self._once(work, read_only=read_only)
            except _CommitDoubt as doubt:
                if doubt.event_id is not None:
                    happened = self._has_event(doubt.event_id)
                    if happened:
                        return doubt.result  # type: ignore[no-any-return]
                    raise self._unknown(doubt, looked=happened is not None) from doubt.error
                if last:
                    raise translate(doubt.error, self.url) from doubt.error
            except exc.TimeoutError as error:
                message = f"no free connection to {self.url}: all are in use by this process"
                raise DatabaseUnavailable(message) from error
            except exc.SQLAlchemyError as error:
                if last or time.monotonic() > deadline or not is_transient(error):
                    raise translate(error, self.url) from error
            time.sleep(random.uniform(0.005, 0.02) * 2**attempt)  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")

    def _once(self, work: Callable[[Connection], T], *, read_only: bool) -> T:
        with self._engine.connect() as plain:
            connection = plain.execution_options(read_only=read_only)
            with connection.begin() as transaction:
                connection.info.pop(EVENT_NOTE, None)
                result = work(connection)
                if read_only:
                    transaction.rollback()
                    return result
                event_id = connection.info.get(EVENT_NOTE)
                try:
                    transaction.commit()
                except exc.DBAPIError as error:
                    if is_disconnect(error):
                        raise _CommitDoubt(result, event_id, error) from error
                    raise
            return result

    def _has_event(self, event_id: str) -> bool | None:
        """Whether the event is there; None if nobody could be asked.

        Waits a little: our COMMIT may still be under way in the server.
        """
        found: bool | None = None
        until = time.monotonic() + COMMIT_DOUBT_S
        question = sa.select(job_events.c.id).where(job_events.c.id == event_id)
        while True:
            try:
                found = self.read(lambda c: c.scalar(question)) is not None
            except DatabaseUnavailable:
                found = None
            if found or time.monotonic() > until:
                return found
            time.sleep(0.2)

    def _unknown(self, doubt: _CommitDoubt, *, looked: bool) -> DatabaseUnavailable:
        then = "the change is not there" if looked else "whether it was made could not be found out"
        return DatabaseUnavailable(
            f"the connection to {self.url} broke during a commit, and {then}",
            hint="Run the same command again: it finds out what was done and continues from there.",
            evidence=str(doubt)[:300],
        )
