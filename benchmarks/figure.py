"""A figure: one of our times (or bytes) beside a peer's, and the ratio that was promised."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HEADER = f"{'what':<42} {'ours':>11} {'peer':>11}  {'peer is':<32} {'ratio':>6} {'goal':>8}"


@dataclass(frozen=True, slots=True)
class Figure:
    """``ours`` and ``peer`` in ``unit``; ``goal`` is an upper bound of ours / peer."""

    what: str
    ours: float
    peer: float
    peer_is: str
    goal: float
    unit: str = "s"

    @property
    def ratio(self) -> float:
        return self.ours / self.peer

    def line(self) -> str:
        mark = "" if self.ratio <= self.goal else "  missed"
        return (
            f"{self.what:<42} {_value(self.ours, self.unit):>11} {_value(self.peer, self.unit):>11}  "
            f"{self.peer_is:<32} {self.ratio:>6.2f} {'<= ' + format(self.goal, '.2f'):>8}{mark}"
        )


def _value(value: float, unit: str) -> str:
    if unit == "s" and value < 1:
        return f"{value * 1000:.1f} ms" if value >= 0.01 else f"{value * 1000:.2f} ms"
    return f"{value:.2f} {unit}" if unit == "s" else f"{value:.0f} {unit}"


def interleaved(candidates: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of each candidate. They take turns, so that what else the machine does falls on all alike."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, measure in candidates.items():
            taken[name].append(measure())
    return {name: statistics.median(values) for name, values in taken.items()}
