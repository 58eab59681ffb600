"""PostgreSQL restarted without a goodbye, and the S3 server killed and started again, in each phase."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.play import DEADLINE_S, either_end
from tests.faults.stage import Cue

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.stage import Stage
    from tests.services.postgres import PostgresServer
    from tests.services.s3 import S3Server

PHASES = ("downloading", "processing", "storing", "commit")


def _played(
    stage: Stage, figures: Callable[[str], None], service: str, restart: Callable[[], threading.Thread | None]
) -> None:
    began, violations = time.monotonic(), []
    with stage.opened(len(PHASES)) as made:
        for phase, (place, lines, job) in zip(PHASES, made, strict=True):
            starting: list[threading.Thread | None] = []
            cue = Cue(phase, lambda starting=starting: starting.append(restart()), once_recorded=True)
            lines.postgres.watch = cue
            ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S)
            lines.heal()
            for thread in filter(None, starting):
                thread.join()
            problems = [] if cue.struck else ["it was not restarted"]
            problems += either_end(stage, place, job, ended, service)
            violations += [f"{service} restarted in {phase}: {problem}" for problem in problems]
    seconds = time.monotonic() - began
    figures(
        f"faults, {service} restarted: {len(PHASES)} cases, {len(violations)} violations, {seconds:.0f} s"
    )
    assert not violations, "\n\n".join(violations)


@pytest.mark.timeout(300)
def test_postgres_restarted_immediately(
    stage: Stage, postgres: PostgresServer, figures: Callable[[str], None]
) -> None:
    _played(stage, figures, "postgres", postgres.restart_immediately)  # type: ignore[arg-type]


@pytest.mark.timeout(300)
def test_s3_killed_and_started_again(
    stage: Stage, s3_server: S3Server, figures: Callable[[str], None]
) -> None:
    def restart() -> threading.Thread:
        s3_server.kill()
        thread = threading.Thread(target=s3_server.start)
        thread.start()
        return thread

    _played(stage, figures, "s3", restart)
