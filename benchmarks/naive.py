"""The peer: what the runbook's readers type by hand. One tool after the other, each with its defaults."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DOWNLOAD = 'yt-dlp --quiet --no-progress --output video.mp4 "$1"'
SCRIPT = f"""
set -eu
{DOWNLOAD}
ffmpeg -nostdin -v error -i video.mp4 -vn -ac 1 -ar 16000 -c:a pcm_s16le audio.wav
"$2" s3 cp --only-show-errors video.mp4 "s3://raw-videos/naive/$$/video.mp4"
"$2" s3 cp --only-show-errors audio.wav "s3://audio-tracks/naive/$$/audio.wav"
"""


def shell(url: str, aws: Path) -> list[str]:
    """The four commands in a row."""
    return ["sh", "-c", SCRIPT, "naive", url, str(aws)]


def download(url: str) -> list[str]:
    """The first of them alone."""
    return ["sh", "-c", DOWNLOAD, "naive", url]
