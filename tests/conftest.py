"""Real services for every suite (see tests/services/), and figures in the test log."""

from collections.abc import Callable

import pytest

pytest_plugins = [
    "tests.services.postgres",
    "tests.services.s3",
    "tests.services.source",
    "tests.reliability.figures",
]


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Tell figures worth keeping: they stand at the end of the log, also when all is green."""
    return lambda text: record_property("figures", text)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the figures that tests told, whichever process ran them."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in getattr(report, "user_properties", ()):
                if name == "figures":
                    terminalreporter.section(report.nodeid, sep="-")
                    terminalreporter.write_line(str(text))
