"""Peak memory of `run`: it must not grow with the video."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import sample
from benchmarks.figure import Figure, interleaved

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.lab import Lab

LIMIT_MIB = 250e6 / 2**20  # 250 MB


def memory(lab: Lab) -> Iterator[Figure]:
    """1 GiB beside the promised limit, and beside a clip; of the largest process of the tree."""
    sample.video(lab.samples / "large.mp4", lab.ffmpeg, seconds=600, size=1024 * sample.MIB)
    sample.video(lab.samples / "clip.mp4", lab.ffmpeg, seconds=10)
    peak = interleaved(
        {
            "large": lambda: lab.ingest(lab.fresh("large.mp4"))[0].peak_mib,
            "clip": lambda: lab.ingest(lab.fresh("clip.mp4"))[0].peak_mib,
        },
        1,
    )
    what = "peak RSS of run, 1 GiB video"
    yield Figure(what, peak["large"], LIMIT_MIB, "the limit", goal=1.00, unit="MiB")
    yield Figure(what, peak["large"], peak["clip"], "a 10 s clip (flat is 1)", goal=1.50, unit="MiB")
