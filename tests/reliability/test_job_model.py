"""The job store against a simple model of it: thousands of random lives, on SQLite and PostgreSQL alike."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from ingestctl.db.engine import open_store
from tests.reliability.job_machine import JobStoreMachine
from tests.reliability.job_rows import Sql

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SHORT = {"sqlite": 200, "postgresql": 100}
LONG = {"sqlite": 2000, "postgresql": 2000}
STEPS = 30
QUIET = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if kind == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        return f"sqlite:///{shutil.copy(template, tmp_path / 'jobs.db')}"
    server = request.getfixturevalue("postgres")
    return str(server.create_database("migrated"))


def play(url: str, examples: int, *, random: bool) -> Counter[str]:
    """Compare them so many times; what was done."""
    with contextlib.closing(open_store(url)) as store, contextlib.closing(Sql(url)) as sql:
        parts = {"store": store, "sql": sql, "told": Counter()}
        machine = type("Machine", (JobStoreMachine,), parts)
        # Making a failure smaller takes minutes: worth it where there is an hour.
        phases = tuple(Phase) if random else (Phase.generate,)
        lengths = {"max_examples": examples, "stateful_step_count": STEPS}
        chosen = settings(**lengths, derandomize=not random, phases=phases, **QUIET)  # type: ignore[arg-type]
        run_state_machine_as_test(machine, settings=chosen)
        return machine.told  # type: ignore[attr-defined,no-any-return]


def _said(kind: str, told: Counter[str]) -> str:
    lives = ", ".join(f"{told[name]} {name}" for name in ("attempts", "taken over", "given up", "succeeded"))
    refused = ", ".join(f"{told[name]} {name}" for name in ("LostAuthority", "Busy", "Conflict"))
    return (
        f"job store model, {kind}: {told['examples']} examples, {told['steps']} steps ({lives}; refused, "
        f"nothing written: {refused}), 0 differences"
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_store_does_what_its_model_does(kind: str, url: str, figures: Callable[[str], None]) -> None:
    told = play(url, SHORT[kind], random=False)
    assert told["LostAuthority"] > SHORT[kind] // 2, "stale owners were tried"
    figures(_said(kind, told))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_thousands_of_random_lives(kind: str, url: str, figures: Callable[[str], None]) -> None:
    figures(_said(kind, play(url, LONG[kind], random=True)))
