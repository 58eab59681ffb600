"""What Tab offers: live job ids, statuses, phases, causes. Silent and short, whatever goes wrong."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

import typer  # noqa: TC002  (typer reads annotations at run time)

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_IDS = 50
DEADLINE_S = 1.5
"""A prompt that hangs is worse than one that offers nothing."""
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")
"""Ids that are one word to every shell; others are not offered."""


def jobs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the jobs changed last, with their status. Never creates or migrates a database."""
    import ingestctl.db.store  # noqa: F401  (before the clock starts: it is only slow, never stuck)

    found: list[tuple[str, str]] = []
    # A thread, so that no driver, name server or lock can hold the prompt beyond the deadline.
    reader = threading.Thread(target=_read, args=(_overrides(ctx), incomplete, found), daemon=True)
    reader.start()
    reader.join(DEADLINE_S)
    return [] if reader.is_alive() else found


def statuses(incomplete: str) -> list[str]:
    """Both vocabularies."""
    from ingestctl.domain.job import STATUS_ALIASES, Status

    return _beginning(incomplete, (*(s.value for s in Status), *STATUS_ALIASES))


def phases(incomplete: str) -> list[str]:
    """Where a running attempt may be."""
    from ingestctl.domain.job import Phase

    return _beginning(incomplete, (p.value for p in Phase))


def causes(incomplete: str) -> list[str]:
    """The codes of the cause table."""
    from ingestctl.domain.causes import CAUSES

    return _beginning(incomplete, CAUSES)


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    """The words that go on from what is typed; after a comma, from the last of a list."""
    listed, comma, last = incomplete.rpartition(",")
    return [f"{listed}{comma}{word}" for word in words if word.startswith(last)]


def _overrides(ctx: typer.Context) -> dict[str, object]:
    given = ctx.find_root().params
    return {name: given[name] for name in ("home", "database_url") if given.get(name)}


def _read(overrides: dict[str, object], incomplete: str, found: list[tuple[str, str]]) -> None:
    from pathlib import Path

    try:
        from ingestctl import config
        from ingestctl.db.base import JobFilter
        from ingestctl.db.engine import open_store

        url = config.load(overrides).effective_database_url
        # Opening an SQLite file that is not there would create it.
        if url.startswith("sqlite:") and not Path(url.partition("///")[2].partition("?")[0]).is_file():
            return
        store = open_store(url, timeout_s=1.0)
        try:
            store.check_schema()
            page = store.find(JobFilter(id_prefix=incomplete or None), limit=MOST_IDS)
        finally:
            store.close()
        plain = (row for row in page.jobs if _PLAIN.fullmatch(row.job.id))
        found += [(row.job.id, _about(row.job.status, row.error_code)) for row in plain]
    except Exception:  # noqa: BLE001  (a prompt is no place for errors)
        return


def _about(status: str, cause: str | None) -> str:
    """Only our own words: titles and addresses come from outside and do not belong in a prompt."""
    return f"{status} {cause}" if status == "failed" and cause and _PLAIN.fullmatch(cause) else str(status)
