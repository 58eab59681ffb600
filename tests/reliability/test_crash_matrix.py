"""Killed at any instant, the next run ends the work: nothing lost, nothing twice, nothing left lying."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

FLOORS = json.loads(Path(__file__).with_name("floors.json").read_text())
"""How many steps each scenario must be found to have at least; lowering one is to be explained. Those that
take longest come first, so that what is left at the end of the suite is short."""
CASES = [tuple(name.split()) for name in FLOORS]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("scenario", "kind"), CASES)
def test_killed_at_every_step(
    play: Callable[..., dict[str, Any]], figures: Callable[[str], None], scenario: str, kind: str
) -> None:
    report = play("matrix", kind, scenario=scenario)
    figures(told(f"{scenario} on {kind}", report))
    assert report["violations"] == []
    assert len(report["points"]) >= FLOORS[f"{scenario} {kind}"], "fewer steps are found than there were"
    # Threads take turns differently each time, so some steps do not come up again; the figures say how many.
    assert report["missed"] <= report["deaths"] * 0.25, "too many steps did not come up again"


def told(what: str, report: dict[str, Any]) -> str:
    facts = [
        f"{len(report['points'])} steps",
        *(f"{report[n]} {n}" for n in ("deaths", "missed", "states", "recoveries")),
    ]
    wrong = f"{len(report['violations'])} violations"
    return f"crash matrix, {what}: {', '.join(facts)}, {wrong}, {report['seconds']:.0f} s"
