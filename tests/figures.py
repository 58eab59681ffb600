"""Figures in the test log: a pytest plugin, so that they come from every process and when all is green."""

from collections.abc import Callable

import pytest

KEY = "figures"


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say figures worth keeping, one line or a table; they stand at the end of the log."""
    return lambda text: record_property(KEY, text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print them, tests in the order of their names."""
    reports = [r for outcome in ("passed", "failed") for r in terminalreporter.getreports(outcome)]
    told = sorted((r.nodeid, str(v)) for r in reports for k, v in r.user_properties if k == KEY)
    if told:
        terminalreporter.section("figures")
        for _, text in told:
            terminalreporter.write_line(text)
