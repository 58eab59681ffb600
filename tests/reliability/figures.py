"""The figures of the proof, in the test log: a pytest plugin, so that they come from every process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "reliability"


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say one line of figures; it is shown at the end of the run."""
    return lambda line: record_property(KEY, line)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.stats.get(outcome, [])]
    lines = [str(v) for r in reports for k, v in getattr(r, "user_properties", ()) if k == KEY]
    if lines:
        terminalreporter.section("reliability")
        for line in sorted(lines):
            terminalreporter.line(line)
