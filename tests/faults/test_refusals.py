"""A PostgreSQL that answers and cannot serve: no connection left, or read-only as after a failover."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.faults.cases import Case
from tests.faults.play import DEADLINE_S, failed, healed, said, whole
from tests.faults.stage import Cue
from tests.services.fault_proxy import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.stage import Lines, Stage
    from tests.reliability.places import Place
    from tests.services.postgres import PostgresServer

REFUSALS = {
    "no connection left": ("CONNECTION LIMIT 0", "CONNECTION LIMIT -1"),
    "read-only": ("SET default_transaction_read_only = on", "RESET default_transaction_read_only"),
}
WORDS = {"no connection left": "too many connections", "read-only": "25006"}
ROLE = "limited"
CASE = Case("postgres", "processing", Fault("refuse"), cause="database_error", codes=frozenset({20}))


@pytest.fixture
def role(stage: Stage, postgres: PostgresServer) -> Iterator[Callable[[str], None]]:
    """A role that may do everything, until it is changed: then its sessions end, as in a failover."""
    assert stage.template.server is not None
    database = stage.template.server.database_url.rpartition("/")[2]
    postgres.execute(f"CREATE ROLE {ROLE} LOGIN")
    postgres.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {ROLE}", database)

    def change(how: str) -> None:
        postgres.execute(f"ALTER ROLE {ROLE} {how}")
        postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'")

    yield change
    change("CONNECTION LIMIT 0")
    postgres.execute(f"DROP OWNED BY {ROLE}", database)
    postgres.execute(f"DROP ROLE {ROLE}")


def _limited(made: tuple[Place, Lines, str]) -> tuple[Place, Lines, str]:
    place, lines, job = made
    url = place.more["DATABASE_URL"].replace("postgres@", f"{ROLE}@")
    return replace(place, more={**place.more, "DATABASE_URL": url}), lines, job


@pytest.mark.timeout(300)
@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_database_that_refuses(
    stage: Stage, role: Callable[[str], None], figures: Callable[[str], None], refusal: str
) -> None:
    began, (begin, end) = time.monotonic(), REFUSALS[refusal]
    problems: list[str] = []
    with stage.opened(3) as made:
        (early, _, waiting), (place, lines, job), (short, short_lines, quick) = map(_limited, made)
        role(begin)
        ended = stage.parent.run(early, "run", "--job-id", waiting, timeout=DEADLINE_S)
        role(end)
        errors = said(ended).get("errors") or [{}]
        if (ended.code, errors[0].get("code")) != (20, "database_unavailable"):
            problems.append(f"before the claim: {ended}")
        if early.rows()["job_runs"] or WORDS[refusal] not in str(errors):
            problems.append(f"before the claim: {early.rows()['job_runs']} {errors}")

        lines.postgres.watch = Cue("processing", lambda: role(begin), once_recorded=True)
        ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S)
        role(end)
        problems += [*failed(place, ended, CASE), *healed(stage, place, job, CASE)]

        def blink() -> None:
            role(begin)
            threading.Timer(1.0, role, [end]).start()

        short_lines.postgres.watch = Cue("processing", blink, once_recorded=True)
        problems += whole(short, stage.parent.run(short, "run", "--job-id", quick, timeout=DEADLINE_S))
    seconds = time.monotonic() - began
    figures(f"faults, postgres {refusal}: 3 cases, {len(problems)} violations, {seconds:.0f} s")
    assert not problems, "\n\n".join(problems)
