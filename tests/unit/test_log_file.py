"""A log file that cannot be written is told once and stops nothing."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

from ingestctl.domain.redact import Redactor
from ingestctl.telemetry import LOG_FILE, configure

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    import pytest


def _log(folder: Path) -> logging.Logger:
    return configure("INFO", Redactor(()), log_dir=folder, to_stderr=False)


def test_a_full_disk_is_told_once_and_lines_go_on_when_there_is_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / LOG_FILE
    file.symlink_to("/dev/full")
    log = _log(tmp_path)
    for number in range(5):
        log.info("line %d", number)
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "No space left on device" in told
    assert str(file) in told
    file.unlink()
    log.info("room again")
    assert json.loads(file.read_text(encoding="utf-8"))["event"] == "room again"
    file.unlink()
    file.symlink_to("/dev/full")
    log.info("full again")
    assert "No space left on device" in capsys.readouterr().err


def test_a_log_folder_that_is_taken_away_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "logs"
    log = _log(folder)
    log.info("before")
    shutil.rmtree(folder)
    log.info("after")
    log.info("and after")
    assert capsys.readouterr().err.count("cannot be written") == 1
    folder.mkdir()
    log.info("back")
    assert "back" in (folder / LOG_FILE).read_text(encoding="utf-8")
