"""One owner at a time: many starts at once, paused owners, wrong clocks, a busy machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

KINDS = ("folder", "server")


def _played(
    driver: Callable[..., dict[str, Any]], figures: Callable[[str], None], kind: str, **spec: Any
) -> Any:
    report = driver("races", kind, **spec)
    counts = ", ".join(f"{count} {name}" for name, count in report["figures"].items())
    wrong = f"{len(report['violations'])} violations"
    figures(f"races, {spec['play']} on {kind}: {counts}, {wrong}, {report['seconds']:.0f} s")
    assert report["violations"] == []
    return report["figures"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_starts_of_one_job_are_one_attempt(play: Any, figures: Any, kind: str) -> None:
    """Fifty processes start it twenty times each: one succeeds, the others are busy or find it done."""
    seen = _played(play, figures, kind, play="starts", count=50)
    assert seen["starts"] == 1000
    assert seen["succeeded"] == 1
    assert seen["busy"] > 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_paused_owner_that_wakes_after_a_takeover_writes_nothing(
    play: Any, figures: Any, kind: str
) -> None:
    """Its lease was aged, so its own watchdog knows nothing yet: the fence alone must hold."""
    seen = _played(play, figures, kind, play="zombies", count=12)
    assert seen["zombies"] >= 10


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_paused_owner_whose_lease_really_ran_out(play: Any, figures: Any, kind: str) -> None:
    seen = _played(play, figures, kind, play="zombies_waited", count=3)
    assert seen["zombies"] >= 1


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_two_rounds_of_pending_at_once_run_each_job_once(play: Any, figures: Any, kind: str) -> None:
    _played(play, figures, kind, database="migrated", play="pending", count=8)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_wrong_local_clocks_change_nothing(play: Any, figures: Any, kind: str) -> None:
    _played(play, figures, kind, play="clocks")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_a_worker_on_a_busy_machine_keeps_its_lease(play: Any, figures: Any, kind: str) -> None:
    _played(play, figures, kind, play="load", count=6)
