"""Killed at any instant, the next run ends the work: nothing lost, nothing twice, nothing left lying."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.reliability.scenarios import SCENARIOS

if TYPE_CHECKING:
    from collections.abc import Callable

FLOORS = json.loads(Path(__file__).with_name("floors.json").read_text())
"""How many steps each scenario must be found to have at least; lowering one is to be explained."""
CASES = [(name, kind) for name in SCENARIOS for kind in ("folder", "server")]
SHORT = {
    ("run", "folder"),
    ("run", "server"),
    ("submit", "folder"),
    ("submit", "server"),
    ("db-upgrade", "folder"),
}
"""What `make test` has time for; `make soak` plays all of them."""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("scenario", "kind"),
    [case if case in SHORT else pytest.param(*case, marks=pytest.mark.soak) for case in CASES],
)
def test_killed_at_every_step(
    play: Callable[..., dict[str, Any]], figures: Callable[[str], None], scenario: str, kind: str
) -> None:
    report = play("matrix", kind, scenario=scenario)
    figures(told(scenario, kind, report))
    assert report["violations"] == []
    assert len(report["points"]) >= FLOORS[f"{scenario} {kind}"], "fewer steps are found than there were"
    # Threads take turns differently each time, so some steps do not come up again; the figures say how many.
    assert report["missed"] <= report["deaths"] * 0.25, "too many steps did not come up again"


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("scenario", "kind"), CASES)
def test_killed_at_every_step_and_at_pairs_of_them(
    play: Callable[..., dict[str, Any]], figures: Callable[[str], None], scenario: str, kind: str
) -> None:
    report = play("matrix", kind, scenario=scenario, every=True, pairs=200)
    figures(told(f"{scenario} (every, pairs)", kind, report))
    assert report["violations"] == []


def told(scenario: str, kind: str, report: dict[str, Any]) -> str:
    facts = [
        f"{len(report['points'])} steps",
        *(f"{report[n]} {n}" for n in ("deaths", "missed", "states", "recoveries")),
    ]
    wrong = f"{len(report['violations'])} violations"
    return f"crash matrix, {scenario} on {kind}: {', '.join(facts)}, {wrong}, {report['seconds']:.0f} s"
