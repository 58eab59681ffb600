"""Faults on the line to each service: the right end in time, and whole again when the fault is gone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.faults import cases
from tests.faults.play import connect, play

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.faults.cases import Case
    from tests.faults.stage import Stage

AT_ONCE = 6
"""Cases mostly wait: for a patience to end, or for the fault to pass."""


def played(stage: Stage, figures: Callable[[str], None], service: str, chosen: Sequence[Case]) -> None:
    began = time.monotonic()
    connect(stage.template)
    with stage.opened(len(chosen)) as made, ThreadPoolExecutor(AT_ONCE) as pool:
        ends = [pool.submit(play, stage, case, *where) for case, where in zip(chosen, made, strict=True)]
        violations = [problem for end in ends for problem in end.result()]
    seconds = time.monotonic() - began
    figures(f"faults, {service}: {len(chosen)} cases, {len(violations)} violations, {seconds:.0f} s")
    assert not violations, "\n\n".join(violations)


SERVICES = ("postgres", "s3", "source")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", SERVICES)
def test_each_fault_on_the_line(stage: Stage, figures: Callable[[str], None], service: str) -> None:
    played(stage, figures, service, cases.in_turn(getattr(cases, service)()))


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("service", SERVICES)
def test_each_fault_in_each_phase(stage: Stage, figures: Callable[[str], None], service: str) -> None:
    played(stage, figures, service, getattr(cases, service)())
