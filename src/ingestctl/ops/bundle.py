"""An incident's evidence, as files: what the rules said, and each job's report, log and verification."""

from __future__ import annotations

import json
import shutil
import tarfile
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import IngestError
from ingestctl.domain.verification import Level
from ingestctl.ops.inspect import inspect
from ingestctl.ops.logs import from_database

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ingestctl.db.base import JobStore
    from ingestctl.domain.job import Job
    from ingestctl.domain.redact import Redactor
    from ingestctl.domain.verification import Verification


def save_bundle(
    target: Path,
    store: JobStore,
    jobs: Sequence[str],
    rules: Any,
    *,
    verify: Callable[[Job, Level], Verification],
    redact: Redactor,
    archive: bool,
) -> Path:
    """Write the evidence into the folder ``target`` (or ``target.tar.gz``) and return its path.

    Everything is redacted. What cannot be collected is said in its place: an outage is when evidence
    is needed most. The result appears whole or not at all. Raises OSError.
    """
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True, mode=0o700)
    try:
        _write(partial / "rules.json", rules, redact)
        for number, job_id in enumerate(jobs, 1):
            folder = partial / "jobs" / f"{number:02d}"
            folder.mkdir(parents=True)
            _job(folder, store, job_id, verify, redact)
        if not archive:
            return partial.rename(target)
        packed = partial.with_suffix(".tar.gz")
        with tarfile.open(packed, "w:gz") as tar:
            tar.add(partial, arcname=target.name)
        return packed.rename(target.with_name(f"{target.name}.tar.gz"))
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _job(
    folder: Path,
    store: JobStore,
    job_id: str,
    verify: Callable[[Job, Level], Verification],
    redact: Redactor,
) -> None:
    def collected(collect: Callable[[], Any]) -> Any:
        try:
            return collect()
        except IngestError as error:
            return {"job_id": job_id, "not_collected": error.message, "code": error.code}

    def verification() -> Any:
        return asdict(verify(store.resolve(job_id), Level.EXISTS))

    _write(folder / "inspect.json", collected(lambda: asdict(inspect(store, job_id))), redact)
    _write(folder / "verification.json", collected(verification), redact)
    lines = collected(lambda: [asdict(line) for line in from_database(store, job_id)[0]])
    _write(folder / "log.json", lines, redact)


def _write(path: Path, value: Any, redact: Redactor) -> None:
    plain = json.loads(json.dumps(value, default=_plain))
    path.write_text(json.dumps(redact.data(plain), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
