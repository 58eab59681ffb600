"""Commands that people wait for: --help, --version and inspect, as whole processes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks import sample
from benchmarks.command import run
from benchmarks.figure import Figure, interleaved
from benchmarks.lab import AWS, INGESTCTL, SCRIPTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benchmarks.lab import Lab


def seconds(command: Sequence[str | Path]) -> float:
    return run(command).seconds


def start_up(lab: Lab) -> Iterator[Figure]:
    """What a shell completion or a typo costs."""
    programs: dict[str, list[str | Path]] = {
        "--help": [INGESTCTL, "--help"],
        "--version": [INGESTCTL, "--version"],
        "procrastinate": [SCRIPTS / "procrastinate", "--help"],
    }
    for command in programs.values():
        run(command)  # the first run compiles
    took = interleaved(
        {name: partial(seconds, command) for name, command in programs.items()}, lab.rounds * 3
    )
    for name in ("--help", "--version"):
        yield Figure(
            f"ingestctl {name}", took[name], took["procrastinate"], "procrastinate --help", goal=0.35
        )


def inspect(lab: Lab) -> Iterator[Figure]:
    """The whole story of a job beside the bare facts of one object."""
    sample.video(lab.samples / "clip.mp4", lab.ffmpeg, seconds=10)
    _, job = lab.ingest(lab.fresh("clip.mp4"))
    stored = job["artifacts"][0]
    head = [AWS, "s3api", "head-object", "--bucket", stored["bucket"], "--key", stored["key"]]
    took = interleaved(
        {
            "ours": lambda: lab.ingestctl("inspect", job["job_id"]).seconds,
            "aws": lambda: run(head, env=lab.aws_env()).seconds,
        },
        lab.rounds * 3,
    )
    yield Figure("ingestctl inspect ID", took["ours"], took["aws"], "aws s3api head-object", goal=0.60)
