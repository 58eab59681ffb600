"""A long video over a throttled link, a short clip, a queue of clips: seconds beside the naive shell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import sample
from benchmarks.figure import Figure, interleaved
from benchmarks.link import throttled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.lab import Lab

LONG_MINUTES = 20
LONG_BYTES = 400 * sample.MIB  # 2.8 Mbit/s, a usual rate for 1080p
LINK_BYTES_PER_S = 16 * sample.MIB
QUEUE = 20


def long_video(lab: Lab) -> Iterator[Figure]:
    """20 minutes, 400 MiB, 16 MiB/s down from the source and up to the store."""
    sample.video(lab.samples / "long.mp4", lab.ffmpeg, seconds=LONG_MINUTES * 60, size=LONG_BYTES)
    with (
        throttled(lab.source_url, LINK_BYTES_PER_S) as source,
        throttled(lab.s3["endpoint"], LINK_BYTES_PER_S) as store,
    ):
        took = interleaved(
            {
                "ours": lambda: lab.ingest(lab.fresh("long.mp4", source), endpoint=store)[0].seconds,
                "naive": lambda: lab.by_hand(lab.fresh("long.mp4", source), endpoint=store),
                "yt-dlp": lambda: lab.download_alone(lab.fresh("long.mp4", source)),
            },
            min(lab.rounds, 3),
        )
    what = "20 min video, throttled link"
    yield Figure(what, took["ours"], took["naive"], "yt-dlp; ffmpeg; aws s3 cp x2", goal=0.50)
    yield Figure(what, took["ours"], took["yt-dlp"], "yt-dlp, download alone", goal=1.10)


def clip(lab: Lab) -> Iterator[Figure]:
    """One 10 s clip, unthrottled: what starting up costs."""
    sample.video(lab.samples / "clip.mp4", lab.ffmpeg, seconds=10)
    took = interleaved(
        {
            "ours": lambda: lab.ingest(lab.fresh("clip.mp4"))[0].seconds,
            "naive": lambda: lab.by_hand(lab.fresh("clip.mp4")),
        },
        lab.rounds,
    )
    yield Figure("10 s clip", took["ours"], took["naive"], "yt-dlp; ffmpeg; aws s3 cp x2", goal=0.50)


def queue(lab: Lab) -> Iterator[Figure]:
    """20 queued clips by one `run --pending`, per clip. Queueing them is the API's work and not timed."""
    sample.video(lab.samples / "clip.mp4", lab.ffmpeg, seconds=10)

    def ours() -> float:
        lab.ingestctl("submit", *(lab.fresh("clip.mp4") for _ in range(QUEUE)))
        return lab.ingestctl("run", "--pending").seconds / QUEUE

    took = interleaved({"ours": ours, "naive": lambda: lab.by_hand(lab.fresh("clip.mp4"))}, lab.rounds)
    what = f"warm worker, {QUEUE} clips, per clip"
    yield Figure(what, took["ours"], took["naive"], "yt-dlp; ffmpeg; aws s3 cp x2", goal=0.25)
