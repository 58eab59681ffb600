"""Disks that fill up on the way and folders that cannot be written, on this machine."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.faults.play import DEADLINE_S, nothing_half, said
from tests.reliability import oracle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.faults.stage import Stage
    from tests.reliability.places import Place

ROOMY = {"INGESTCTL_MIN_FREE_BYTES": "0"}
"""So that the disk itself is met, and not the look at it beforehand."""


@contextmanager
def small_disk(at: Path, size: str) -> Iterator[bool]:
    """A file system of that size mounted on ``at``; False where this user or container may not mount."""
    at.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(at)], check=True)


def _fails(stage: Stage, place: Place, cause: str, code: int, **how: Any) -> str:
    """Run its job there: it must fail for ``cause`` and leave nothing. Returns the job's id."""
    [job] = place.job_ids() or stage.submit(place, [place.url])
    ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S, **how)
    diagnosis = (said(ended).get("data") or {}).get("diagnosis") or {}
    assert (ended.code, diagnosis.get("cause")) == (code, cause), str(ended)
    run = max(place.rows()["job_runs"], key=lambda run: run["attempt"])
    assert (run["status"], run["error_code"]) == ("failed", cause)
    assert run["error_details"]["evidence"]
    assert list(nothing_half(place, uploads=False)) == []
    return job


def _heals(stage: Stage, place: Place, job: str, cause: str) -> None:
    ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S)
    assert ended.code == 0, str(ended)
    assert oracle.ingested(place, causes=frozenset({cause})) == []


def test_scratch_fills_up_during_the_download(stage: Stage, figures: Callable[[str], None]) -> None:
    place = stage.place(**ROOMY)
    half = place.media.stat().st_size // 2
    job = _fails(stage, place, "disk_full", 20, file_size=half)
    scratch = place.home.parent / "small"
    with small_disk(scratch, f"{half // 1024}k") as mounted:
        if mounted:
            there = replace(place, more={**place.more, "INGESTCTL_SCRATCH_DIR": str(scratch)})
            _fails(stage, there, "disk_full", 20)
            assert list(scratch.iterdir()) == []
    _heals(stage, place, job, "disk_full")
    upload = stage.place(**ROOMY)
    own = upload.home.parent / "own.mp4"
    own.write_bytes(place.media.read_bytes() + b"\0\0\0\x0cfree" + os.urandom(4))
    upload = replace(upload, media=own)
    stage.submit(upload, [str(own)])
    _heals(stage, upload, _fails(stage, upload, "disk_full", 20, file_size=half), "disk_full")
    figures(f"faults, disk: scratch full by quota{' and tmpfs' if mounted else ''}")


def test_the_folder_of_objects_fills_up(stage: Stage, figures: Callable[[str], None]) -> None:
    place = stage.folder(**ROOMY)
    size = place.media.stat().st_size
    # Room for half of the original; for the original, and half of the audio.
    for room in (size // 2, size * 3 // 2):
        job = _fails(stage, place, "disk_full", 20, full=(str(place.home / "objects"), room))
    _heals(stage, place, job, "disk_full")
    other = stage.folder(**ROOMY)
    with small_disk(other.home / "objects", f"{size // 2048}k") as mounted:
        if mounted:
            for role in ("VIDEO", "AUDIO", "UPLOADS"):
                (other.home / "objects" / other.bucket(role)).mkdir()
            _fails(stage, other, "disk_full", 20)
    figures(f"faults, disk: objects full by a fake{' and tmpfs' if mounted else ''}")


def test_folders_that_cannot_be_written(stage: Stage) -> None:
    place = stage.folder()
    for folder, cause in (("objects", "storage_error"), ("scratch", "configuration")):
        path = place.home / folder
        path.mkdir(exist_ok=True)
        inside = [p for p in path.rglob("*") if p.is_dir()]
        for each in (path, *inside):
            each.chmod(0o555)
        job = _fails(stage, place, cause, 13, unprivileged=True)
        for each in (path, *inside):
            each.chmod(0o755)
    ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S)
    assert ended.code == 0, str(ended)
    assert oracle.ingested(place, causes=frozenset({"storage_error", "configuration"})) == []


def test_a_database_file_that_cannot_be_written(stage: Stage) -> None:
    place = stage.folder()
    [job] = stage.submit(place, [place.url])
    for path, mode in ((place.home / "ingestctl.db", 0o444), (place.home, 0o555)):
        before = path.stat().st_mode
        path.chmod(mode)
        ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S, unprivileged=True)
        path.chmod(before)
        assert (ended.code, ended.outcome) == (13, "database_refused"), str(ended)
        assert place.rows()["job_runs"] == []
    _heals(stage, place, job, "")
