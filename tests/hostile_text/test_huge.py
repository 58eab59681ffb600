"""Payloads of many megabytes: borne by every command that meets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.hostile_text.calls import call, wrongs
from tests.hostile_text.commands import commands, documented

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World

CODES = {name: documented(command) for name, command in commands()}
CALLS = ("jobs", "inspect JOB", "logs JOB", "retry --dry-run JOB", "verify-artifacts JOB", "run JOB")


def _bear(world: World, megabytes: int) -> list[str]:
    [job] = [j["job_id"] for j in call(world, "submit", "https://127.0.0.2/a", "--output=json").data["jobs"]]
    payload = world.query("SELECT payload FROM jobs")[0]["payload"]
    payload["metadata"] = {"x": "\u00e9 <y>&" * (megabytes * 2**20 // 7), "many": list(range(10_000))}
    world.query("UPDATE jobs SET payload = ?, status = 'failed'", json.dumps(payload))
    problems = []
    for line in CALLS:
        command, *words = line.split()
        done = call(world, command, "--output=json", *(job if w == "JOB" else w for w in words))
        problems += [f"{line}: {wrong}" for wrong in wrongs(done, set(CODES[command]), envelope=True)]
        if command == "inspect":
            shown = len(done.stdout)
            problems += (
                [f"{shown} characters of {megabytes} MB are shown"] if shown < megabytes * 2**19 else []
            )
    return problems


def test_two_megabytes_of_payload(new_world: Callable[..., World], figures: Callable[[str], None]) -> None:
    problems = _bear(new_world("sqlite"), 2)
    assert not problems, "\n".join(problems)
    figures(f"huge payloads: 2 MB, {len(CALLS)} calls, 0 violations")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_fifty_megabytes_of_payload(new_world: Callable[..., World], kind: str) -> None:
    problems = _bear(new_world(kind), 50)
    assert not problems, "\n".join(problems)
