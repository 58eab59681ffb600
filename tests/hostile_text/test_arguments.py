"""Every option and argument of every command, fed with what nobody should type."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest

from tests.hostile_text.calls import call, wrongs
from tests.hostile_text.commands import Place, commands, documented, places
from tests.hostile_text.words import NAMES, VALUES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.worlds import World

WORDS = {**NAMES, **VALUES}
SHARE = {"sqlite": 7, "postgres": 29}
"""Of all pairs of a place and a value `make test` takes every so-manieth; `make soak` takes all."""
pytestmark = pytest.mark.timeout(900)
UNSPEAKABLE = ("control", "surrogates")
"""Values that no command line can carry and that typer turns into paths by itself."""
FILES = ("--plan-out", "--apply")
TABLES = ("videos", "jobs", "job_runs", "job_events", "ingest_artifacts")


def _pairs(every: int) -> Iterator[tuple[Place, str, bool]]:
    """Places and names of values, each with an envelope or as a table."""
    everything = itertools.product(places(), WORDS)
    speakable = ((p, w) for p, w in everything if not (p.name in FILES and w in UNSPEAKABLE))
    for number, (place, word) in enumerate(itertools.islice(speakable, 0, None, every)):
        yield place, word, number % 2 == 0 or every == 1


@pytest.fixture
def known(world: World) -> dict[str, str]:
    """A job and an incident that are there."""
    done = call(world, "submit", "https://127.0.0.2/a.mp4", "--output=json")
    job = done.data["jobs"][0]["job_id"]
    world.query("UPDATE jobs SET status = 'failed'")
    world.query(
        "INSERT INTO ingest_incidents (id, kind, status, severity, title, reason, actor, opened_at, details)"
        " VALUES ('inc-1', 'note', 'open', 'SEV-4', 't', 'r', 'a', '2026-01-01 00:00:00.000+00', '{}')"
        " ON CONFLICT DO NOTHING"
    )
    return {"JOB": job, "INCIDENT": "inc-1", "TEXT": "t"}


def _with_output(words: list[str], command: str) -> list[str]:
    depth = len(command.split())
    return [*words[:depth], "--output=json", *words[depth:]]


def _feed(world: World, known: dict[str, str], every: int) -> tuple[int, list[str]]:
    calls, problems = 0, []
    for place, word, envelope in _pairs(every):
        words = place.words(WORDS[word], known)
        envelope = envelope and place.name != "--output"
        if envelope:
            words = _with_output(words, place.command)
        done = call(world, *words)
        calls += 1
        found = wrongs(done, set(place.codes), envelope=envelope)
        problems += [f"{place.command} {place.name} <- {word}: {wrong}" for wrong in found]
    return calls, problems


def _rows(world: World) -> dict[str, int]:
    return {t: world.query(f"SELECT count(*) AS n FROM {t}")[0]["n"] for t in TABLES}


def _play(world: World, known: dict[str, str], figures: Callable[[str], None], every: int) -> None:
    before, objects = _rows(world), set(world.objects(uploads=True))
    calls, problems = _feed(world, known, every)
    assert not problems, "\n".join(problems)
    assert all(_rows(world)[table] >= count for table, count in before.items()), "nothing is lost"
    assert set(world.objects(uploads=True)) >= objects
    figures(
        f"hostile names, {world.kind}: {len(places())} options and arguments, {calls} calls, 0 violations"
    )


def test_no_word_is_a_bug(world: World, known: dict[str, str], figures: Any) -> None:
    _play(world, known, figures, SHARE[world.kind])


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_every_word_in_every_place(world: World, known: dict[str, str], figures: Any) -> None:
    _play(world, known, figures, 1)


def test_every_commands_help_says_how_it_ends() -> None:
    assert [name for name, command in commands() if not documented(command) >= {0, 2, 13, 20}] == []


SETTINGS = {
    "DATABASE_URL": [
        "postgresql://h:99999999/x",
        "sqlite:///\x1b[31m",
        "//",
        "postgresql://u:p\u202e@h/\udcff",
    ],
    "INGESTCTL_STORAGE_URL": ["file://\x1b]0;x\x07", "s3://\u202ex", "file:///" + "x" * 5000, "-x"],
    "S3_ENDPOINT": ["http://\x07", "http://[::1", "gopher://x", "http://" + "a" * 300 + ".example", "-x"],
    "S3_BUCKET_VIDEO": ["../..", "a/b", "\x1b[31m", "x" * 1000],
    "INGESTCTL_HOME": ["\x1b[31m/\u202e", "x" * 5000, "-x"],
    "INGESTCTL_SOURCE_ALLOW_NETWORKS": ["\x1b", "0.0.0.0/33", "::/129", "1" * 5000],
    "INGESTCTL_MAX_BYTES": ["1" * 5000, "1e400", "-1", "\u0663 GB", "nan", "1 \x1bB"],
    "INGESTCTL_LEASE_SECONDS": ["nan", "inf", "1e999", "0x10", "\x1b", "1" * 5000],
    "INGESTCTL_PROXY": ["http://u:p@[", "\x1b[31m", "-x"],
    "INGESTCTL_API_URL": ["http://\x1b", "https://[", "file:///etc/passwd"],
    "INGESTCTL_NOTIFY_URLS": ["\x1b[31m", "json://[", "-x"],
    "INGESTCTL_LOG_DIR": ["\x1b[31m", "/dev/null", "x" * 5000],
    "INGESTCTL_COOKIES_FILE": ["/dev/null/x", "\x1b[31m", "x" * 5000],
    "INGESTCTL_\x1b[31m": ["1"],
    "ENV": ["\x1b[31m", "x" * 5000],
    "LOG_LEVEL": ["\u202e", "1" * 5000],
}


def test_no_setting_is_a_bug(new_world: Callable[..., World], figures: Callable[[str], None]) -> None:
    world = new_world("sqlite")
    job = call(world, "submit", "https://127.0.0.2/a.mp4", "--output=json").data["jobs"][0]["job_id"]
    codes = {name: documented(command) for name, command in commands()}
    turns, problems = itertools.cycle(("doctor", "run", "retry")), []
    pairs = [(name, value) for name, values in SETTINGS.items() for value in values]
    for (name, value), command in zip(pairs, turns, strict=False):
        words = [command] if command == "doctor" else [command, job]
        done = call(world, *words, "--output=json", env={name: value})
        found = wrongs(done, set(codes[command]), envelope=True)
        problems += [f"{command} with {name}={value[:60]!r}: {wrong}" for wrong in found]
    assert not problems, "\n".join(problems)
    figures(f"hostile settings: {len(pairs)} calls, 0 violations")
