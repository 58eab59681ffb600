"""Hostile rows in the database, through the real commands: shown, refused or run, never a crash."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from tests.hostile_text.calls import call, wrongs
from tests.hostile_text.commands import commands, documented
from tests.hostile_text.rows import EVIL, FLEET, everyday, plant
from tests.hostile_text.words import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World

CODES = {name: documented(command) for name, command in commands()}
TABLES = ("videos", "jobs", "job_runs", "job_events")
SHARE = {"sqlite": 4, "postgres": 7}
"""Of what is done with one job `make test` does every so-manieth with each, another with the next."""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def jobs(world: World) -> list[str]:
    return plant(world)


def _judge(world: World, words: list[str], *, envelope: bool) -> list[str]:
    name = next(n for n in (" ".join(words[:2]), words[0]) if n in CODES)
    depth = len(name.split())
    asked = [*words[:depth], "--output=json", *words[depth:]] if envelope else words
    done = call(world, *asked)
    return [
        f"{' '.join(words)[:120]!r}: {wrong}" for wrong in wrongs(done, set(CODES[name]), envelope=envelope)
    ]


def test_hostile_rows_are_shown_refused_or_run(
    world: World, jobs: list[str], figures: Callable[[str], None]
) -> None:
    _feed(world, jobs, figures, SHARE[world.kind])


@pytest.mark.soak
def test_everything_is_done_with_every_row(
    world: World, jobs: list[str], figures: Callable[[str], None]
) -> None:
    _feed(world, jobs, figures, 1)


def _feed(world: World, jobs: list[str], figures: Callable[[str], None], every: int) -> None:
    before = {t: {r["id"] for r in world.query(f"SELECT id FROM {t}")} for t in TABLES}
    calls, problems = 0, []
    for number, job_id in enumerate(jobs):
        for turn, words in enumerate(everyday(job_id)):
            if (number + turn) % every:
                continue
            problems += _judge(world, words, envelope=turn % 2 == 0)
            calls += 1
    for number, words in enumerate(FLEET):
        for envelope in (True, False)[number % 2 :: 2] if every > 1 else (True, False):
            problems += _judge(world, words, envelope=envelope)
            calls += 1
    assert not problems, "\n".join(problems)
    after = {t: {r["id"] for r in world.query(f"SELECT id FROM {t}")} for t in TABLES}
    assert all(after[t] >= before[t] for t in TABLES), "no row is lost"
    figures(f"hostile rows, {world.kind}: {len(jobs)} jobs, {calls} calls, 0 violations")


def test_a_job_with_any_name_is_found_by_it(world: World, jobs: list[str]) -> None:
    for job_id in jobs if world.kind == "sqlite" else jobs[:6]:
        done = call(world, "inspect", "--output=json", "--", job_id)
        assert done.code == 0, (job_id, done.stdout[:500])
        assert done.data["job"]["id"] == job_id


def test_wildcards_are_letters(world: World, jobs: list[str]) -> None:
    for word in ("%", "_", "*", "[a]"):
        found = call(world, "jobs", "--output=json", "--", word).data["jobs"]
        assert {j["job_id"] for j in found} == {j for j in jobs if j.startswith(word)}
        assert call(world, "jobs", f"--source={word}", "--output=json").data["jobs"] == []


def test_words_that_come_in_are_kept_as_the_database_can(world: World, jobs: list[str]) -> None:
    """A reason or a note with NUL, escapes and lone surrogates is kept, and shown escaped."""
    reason = f"because\0 {EVIL}\ud800"
    opened = call(world, "escalate", "--since=9999d", "--open", f"--reason={reason}", "--output=json")
    assert opened.code == 0, opened.stdout[:400]
    name = call(world, "incidents", "list", "--output=json").data["incidents"][0]["id"]
    for word in (reason, *NAMES.values()):
        noted = call(world, "incidents", "note", "--output=json", "--", name, word)
        assert noted.code in (0, 2), noted.stdout[:400]
    problems = []
    for words in (["show", name], ["export", name], ["list"]):
        problems += _judge(world, ["incidents", *words], envelope=False)
        problems += _judge(world, ["incidents", *words], envelope=True)
    assert not problems, "\n".join(problems)
    shown = json.dumps(call(world, "incidents", "show", name, "--output=json").data, ensure_ascii=False)
    assert shown.count("because\ufffd a\\u001b[31mred") >= 1, (
        "what PostgreSQL cannot hold is replaced, no more"
    )


def test_an_address_that_no_index_holds_is_refused_whole(world: World) -> None:
    """PostgreSQL's index rows end at 2,704 bytes; nothing of the submission may stay behind."""
    dice = random.Random(7)
    url = "https://127.0.0.2/" + "".join(dice.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=8000))
    before = world.query("SELECT count(*) AS n FROM videos")[0]["n"]
    done = call(world, "submit", url, "https://127.0.0.2/short", "--output=json")
    assert wrongs(done, set(CODES["submit"]), envelope=True) == []
    made = len(done.data["jobs"])
    assert (done.code, made) == ((0, 2) if world.kind == "sqlite" else (16, 1)), done.stdout[:300]
    assert [e["code"] for e in done.json["errors"]] == (
        [] if world.kind == "sqlite" else ["database_rejected"]
    )
    assert world.query("SELECT count(*) AS n FROM videos")[0]["n"] == before + made


def test_lines_that_come_in(world: World, jobs: list[str]) -> None:
    """What a pipe may carry and a command line may not: NUL and all the rest, line by line."""
    lines = "\n".join([*NAMES.values(), "https://127.0.0.2/\0", "https://127.0.0.2/\u202e", "x" * 300_000])
    for words in (["submit", "-"], ["explain", "-"], ["logs", "j-payload-empty", "-"]):
        for envelope in (True, False):
            asked = [words[0], "--output=json", *words[1:]] if envelope else words
            done = call(world, *asked, stdin=lines + "\nj-payload-empty " + EVIL)
            assert wrongs(done, set(CODES[words[0]]), envelope=envelope) == [], (words, envelope)
