"""Every command that is suggested exists, and takes the words it is suggested with."""

from __future__ import annotations

import itertools
import re
import shlex
from datetime import UTC, datetime
from typing import Any

import pytest
import typer

from ingestctl.cli.main import COMMANDS, app
from ingestctl.domain.causes import CAUSES, diagnose
from ingestctl.domain.escalation import Checks, Tally, Thresholds, evaluate
from ingestctl.domain.job import Job, Run, Status
from ingestctl.ops.inspect import for_job, what_next

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def job(status: Status) -> Job:
    return Job("j-1", "v", "ingest", status, None, {}, None, None, None, NOW, None, None, NOW, NOW)


def run(live: bool) -> Run:
    return Run("r", "j-1", 1, "running", NOW, None, None, None, None, {}, "me", NOW, NOW, live)


def suggested() -> list[str]:
    holders = (None, run(live=True), run(live=False))
    texts = ("HTTP Error 403", "HTTP Error 429", "No space left on device", "gibberish", "Video unavailable")
    found = [
        command
        for status, holder, text in itertools.product(Status, holders, texts)
        for command in what_next(job(status), holder, diagnose(text))
    ]
    found += [row.next.replace("JOB", "j-1") for row in CAUSES.values()]
    found += [for_job(diagnose(text), "j-1").next for text in texts]
    quiet = evaluate(Tally(), Checks(), Thresholds())
    tally = Tally()
    for cause in ("not_media", "storage_error", "worker_crashed"):
        tally.add(type("F", (), {"job_id": "j-1", "source": "a.b", "at": NOW, "cause": cause, "owner": None}))
    loud = evaluate(tally, Checks(10, 10, ["j-1"]), Thresholds(1, 0, 1, 0, 1, 1, 0))
    assert all(r.fired for r in loud)
    found += [r.next for r in (*quiet, *loud)]
    return sorted(set(found))


def parse(command: str) -> None:
    """Raise a usage error unless the program would take this line."""
    words = shlex.split(command)
    assert words[0] == "ingestctl"
    group: Any = typer.main.get_command(app)
    with group.make_context("ingestctl", words[1:]) as root:
        name, found, rest = group.resolve_command(root, words[1:])
        assert found is not None, f"there is no command {name}"
        found.make_context(name, list(rest), parent=root)


@pytest.mark.parametrize("command", suggested())
def test_it_can_be_typed(command: str) -> None:
    parse(command)


def test_a_wrong_suggestion_would_be_noticed() -> None:
    for wrong in ("ingestctl repair j-1", "ingestctl retry j-1 --fast", "ingestctl logs --since"):
        with pytest.raises(Exception, match=r"No such|no such|requires|repair"):
            parse(wrong)


def test_a_canceled_job_is_suggested_what_will_be_accepted() -> None:
    [command] = what_next(job(Status.CANCELED), None, None)
    assert "--anyway" in command


def test_hints_name_commands_that_exist() -> None:
    from ingestctl.domain import errors

    hints = [
        e.default_hint for e in vars(errors).values() if isinstance(e, type) and hasattr(e, "default_hint")
    ]
    named = {word for hint in hints for word in re.findall(r"`ingestctl ([a-z][a-z-]*)", hint)}
    assert named
    assert named <= set(COMMANDS)
