"""A small real video, made on the spot: for the demo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import ffmpeg

from ingestctl.domain.errors import ToolMissing
from ingestctl.media import process

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.stop import Stop
    from ingestctl.media.tools import Tools


def make_sample(tools: Tools, path: Path, stop: Stop, *, seconds: int = 10) -> None:
    """Write an MP4 with a test picture and a 440 Hz tone. Raises ToolMissing if this ffmpeg cannot."""
    picture = ffmpeg.input(f"testsrc2=size=320x180:rate=25:duration={seconds}", f="lavfi")
    tone = ffmpeg.input(f"sine=frequency=440:sample_rate=44100:duration={seconds}", f="lavfi")
    output = ffmpeg.output(
        picture,
        tone,
        f"file:{path.absolute()}",
        vcodec="mpeg4",
        acodec="aac",
        movflags="+faststart",
        shortest=None,
    )
    argv = [str(tools.ffmpeg), "-v", "error", "-y", *output.get_args()]
    done = process.run(argv, deadline_s=60, stop=stop, cwd=path.parent)
    if done.returncode:
        raise ToolMissing(
            f"{tools.ffmpeg} could not make a sample video", evidence="\n".join(done.stderr_tail)
        )
