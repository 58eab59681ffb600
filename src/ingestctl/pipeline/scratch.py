"""Scratch folders: one per attempt, locked while its process lives, swept when it is dead."""

from __future__ import annotations

import errno
import shutil
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from ingestctl.domain.errors import ConfigurationError, IngestError, ScratchFull

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PREFIX = "run-"
_LOCK = ".lock"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def scratch_folder(root: Path, run_id: str, *, min_free_bytes: int) -> Iterator[Path]:
    """Give an empty folder for one attempt and remove it afterwards.

    Folders of dead processes, of any job, are removed first: their lock died with them.
    Raises ScratchFull when less than ``min_free_bytes`` are free, ConfigurationError when none can be made.
    """
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        sweep(root)
        check_free(root, min_free_bytes)
        folder, lock = _make(folder_of(root, run_id))
    except OSError as error:
        raise scratch_error(root, error) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            lock.release(force=True)
        shutil.rmtree(folder, ignore_errors=True)


def _make(folder: Path) -> tuple[Path, FileLock]:
    for _ in range(5):
        lock = FileLock(folder / _LOCK)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError):  # a sweeper looked at the very moment it was made
            time.sleep(0.05)
            continue
        if (folder / _LOCK).exists():
            return folder, lock
        lock.release(force=True)
    raise OSError(errno.EBUSY, "another process keeps locking it")


def folder_of(root: Path, run_id: str) -> Path:
    """Where the attempt ``run_id`` keeps its files."""
    return root / f"{_PREFIX}{run_id}"


def check_free(root: Path, need_bytes: int) -> None:
    """Raise ScratchFull unless ``need_bytes`` are free where ``root`` lies."""
    free = shutil.disk_usage(root).free
    if free < need_bytes:
        raise ScratchFull(
            f"scratch folder {root} has {free // 2**20} MiB free and {need_bytes // 2**20} MiB are needed"
        )


def sweep(root: Path) -> list[str]:
    """Remove scratch folders whose process is dead; return their names."""
    return [folder.name for folder in root.glob(f"{_PREFIX}*") if _removed(folder)]


def _removed(folder: Path) -> bool:
    try:
        inside = [path.name for path in folder.iterdir()]
        if not inside:  # just being made, or its maker died before the lock: rmdir harms neither
            folder.rmdir()
        elif _LOCK not in inside:  # the lock is made first and removed with the rest: this was being removed
            shutil.rmtree(folder, ignore_errors=True)
        else:
            with FileLock(folder / _LOCK, blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
    except (Timeout, OSError):
        return False
    return not folder.exists()


def scratch_error(root: Path, error: OSError) -> IngestError:
    """What an OSError in the scratch folder means: full, or not usable by us."""
    if error.errno in FULL:
        return ScratchFull(f"scratch folder {root} is full", evidence=str(error))
    return ConfigurationError(
        f"scratch folder {root} cannot be used: {error.strerror}",
        hint="Set INGESTCTL_SCRATCH_DIR to a folder this user can write to.",
        evidence=str(error),
    )
