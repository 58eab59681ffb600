"""``init`` and ``doctor``: make the place ready, and say whether it is."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ingestctl.domain.errors import IngestError
from ingestctl.pipeline.scratch import check_free, scratch_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ingestctl.db.base import JobStore
    from ingestctl.domain.source import Buckets
    from ingestctl.storage.base import Storage

Verdict = Literal["ok", "warn", "fail", "skip"]

MAX_SKEW_S = 5.0
"""Clock difference to the database above which timestamps in logs start to mislead. Leases do not care."""
OLD_YTDLP_DAYS = 60
"""Age after which a blocked platform is most likely our yt-dlp's fault: platforms change monthly."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of ``doctor``."""

    id: str
    verdict: Verdict
    detail: str
    hint: str = ""
    error: IngestError | None = None

    @property
    def failed(self) -> bool:
        """Whether something must be done about it."""
        return self.verdict == "fail"


def checked(check_id: str, look: Callable[[], Check]) -> Check:
    """Run one check; an error of ours is a failed check, with its hint."""
    try:
        return look()
    except IngestError as error:
        return Check(check_id, "fail", error.message, error.hint, error)


def check_clock(store: JobStore) -> Check:
    """Compare this machine's clock with the database's."""
    skew = (datetime.now(UTC) - store.now()).total_seconds()
    verdict: Verdict = "warn" if abs(skew) > MAX_SKEW_S else "ok"
    hint = "Leases use the database's clock and are safe; set this clock right for readable logs."
    return Check("clock", verdict, f"{skew:+.1f} s against the database", hint if verdict == "warn" else "")


def check_storage(storage: Storage, buckets: Buckets) -> list[Check]:
    """Probe every bucket: there, writable, readable, deletable, and honest about create-once."""
    checks = []
    for bucket in dict.fromkeys((buckets.video, buckets.audio, buckets.uploads)):
        name = f"bucket:{bucket}"
        try:
            found = storage.check(bucket)
        except IngestError as error:
            checks.append(Check(name, "fail", error.message, error.hint, error))
            continue
        for probe in found:
            # A store without conditional writes is still safe by lease and fence, so that is a warning.
            bad: Verdict = "warn" if "conditional" in probe.id or "clock" in probe.id else "fail"
            verdict: Verdict = "ok" if probe.ok else bad
            checks.append(Check(f"{name}:{probe.id}", verdict, probe.detail, probe.hint, probe.error))
    return checks


def check_scratch(root: Path, min_free_bytes: int) -> Check:
    """Whether scratch files can be written and enough space is free. Raises ScratchFull as a run would."""
    probe = root / ".doctor"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.write_bytes(b"ok")
        probe.unlink()
    except OSError as error:
        raise scratch_error(root, error) from error
    check_free(root, min_free_bytes)
    return Check("scratch", "ok", f"{root}: {shutil.disk_usage(root).free / 1e9:.1f} GB free")


def check_ytdlp(version: str, today: date) -> Check:
    """How old yt-dlp is (its version is its date)."""
    try:
        year, month, day = (int(part) for part in version.split(".")[:3])
        age = (today - date(year, month, day)).days
    except ValueError:
        return Check("yt-dlp", "warn", f"version {version}", "Its age cannot be told from its version.")
    if age > OLD_YTDLP_DAYS:
        return Check(
            "yt-dlp", "warn", f"{version}, {age} days old", "Platforms block old versions: update it."
        )
    return Check("yt-dlp", "ok", f"{version}, {age} days old")


def check_javascript() -> Check:
    """Whether yt-dlp will find a JavaScript runtime: YouTube sources cannot be fetched without one."""
    beside = Path(sys.executable).parent / "deno"
    found = shutil.which("deno") or (str(beside) if beside.exists() else None) or shutil.which("bun")
    if found:
        return Check("javascript", "ok", found)
    hint = "Only YouTube sources need one: pip install 'ingestctl[youtube]'."
    return Check("javascript", "skip", "no JavaScript runtime (deno) was found", hint)


@dataclass(frozen=True, slots=True)
class Made:
    """One thing ``init`` made or found."""

    what: str
    created: bool


def make_buckets(storage: Storage, buckets: Buckets) -> Sequence[Made]:
    """Create the buckets that are missing."""
    names = dict.fromkeys((buckets.video, buckets.audio, buckets.uploads))
    return [Made(f"bucket {name}", storage.ensure_bucket(name)) for name in names]
