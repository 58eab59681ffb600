"""The crash matrix and the paused owners with other dice each time, until the time is over.

``make soak MINUTES=60``. Each round stops owners at random steps and kills each scenario twice, at random
instants; after the first round, every scenario is killed once at every single instant.
"""

from __future__ import annotations

import itertools
import os
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import pytest

from tests.reliability.test_crash_matrix import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTES = float(os.environ.get("SOAK_MINUTES") or 15)
FIGURES = ("deaths", "missed", "recoveries")


def programme() -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """What to play, without end: its title, module, kind, and terms."""
    for turn in itertools.count(1):
        for kind in ("server", "folder"):
            terms = {"play": "zombies", "count": 100, "seed": turn * 1000}
            yield f"paused owners on {kind}", "races", kind, terms
        for scenario, kind in CASES:
            terms = {"scenario": scenario, "pairs": 12, "every": True, "seed": turn * 1000}
            yield f"{scenario} on {kind}, killed twice", "matrix", kind, terms
        for scenario, kind in CASES if turn == 1 else ():
            yield (
                f"{scenario} on {kind}, every instant",
                "matrix",
                kind,
                {"scenario": scenario, "every": True},
            )


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_until_the_time_is_over(
    play: Callable[..., dict[str, Any]], figures: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    over = time.monotonic() + MINUTES * 60
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    violations = []
    for title, module, kind, terms in programme():
        left = over - time.monotonic()
        if left <= 0:
            break
        report = play(module, kind, seconds=left, **terms)
        counts = report.get("figures") or {name: report[name] for name in FIGURES}
        wrong = {"plays": 1, "violations": len(report["violations"])}
        sums[title].update({**counts, **wrong})
        violations += report["violations"]
        with capsys.disabled():
            print(f"{left / 60:.0f} min left: {title}: {_told(counts | wrong)}", flush=True)
    for title, counts in sums.items():
        figures(f"soak, {title}: {_told(counts)}")
    assert violations == []


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
