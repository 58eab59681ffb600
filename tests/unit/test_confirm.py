"""Only the very words count, and all of them: anything else ends with nothing done."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from ingestctl.cli import confirm as module
from ingestctl.cli.confirm import confirm
from ingestctl.cli.view import Format, Style
from ingestctl.domain.errors import ConfirmationNeeded, Exit

PIPE = Style(Format.JSON, terminal=False, quiet=False)
TERMINAL = replace(PIPE, format=Format.TABLE)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_very_words_are_enough() -> None:
    confirm("remove it", ["job-1", "job-2"], ["job-2", "job-1"], [], PIPE)


@pytest.mark.parametrize("given", [[], ["job"], ["job-1"], ["job-1", "JOB-2"], ["yes"], ["job-12", "job-2"]])
def test_others_and_some_are_not(given: list[str]) -> None:
    with pytest.raises(ConfirmationNeeded, match="nothing was done") as caught:
        confirm("remove it", ["job-1", "job-2"], given, [], PIPE)
    assert caught.value.exit is Exit.CONFIRMATION_NEEDED


@pytest.mark.parametrize(
    ("typed", "goes_on"), [("job-1\n", True), ("y\n", False), ("\n", False), ("", False)]
)
def test_on_a_terminal_the_word_is_typed(monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool) -> None:
    monkeypatch.setattr(module.sys, "stdin", Terminal(typed))
    monkeypatch.setattr(module.sys, "stderr", Terminal())
    if goes_on:
        confirm("remove it", ["job-1"], [], ["the plan"], TERMINAL)
    else:
        with pytest.raises(ConfirmationNeeded):
            confirm("remove it", ["job-1"], [], ["the plan"], TERMINAL)
