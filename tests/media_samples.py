"""Small real media files, made by ffmpeg once per test session (or kept in ``folder`` between uses)."""

from __future__ import annotations

import random
import subprocess
from functools import cached_property
from typing import TYPE_CHECKING

from ingestctl.media.tools import Tools, find_tools

if TYPE_CHECKING:
    from pathlib import Path

VIDEO = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "10")


class Samples:
    """Makes each sample when first asked for, in ``folder``. Names are the files' names."""

    def __init__(self, folder: Path, seconds: int = 4) -> None:
        self.folder = folder
        self.seconds = seconds
        folder.mkdir(parents=True, exist_ok=True)

    @cached_property
    def tools(self) -> Tools:
        return find_tools()

    def ffmpeg(self, name: str, *arguments: str) -> Path:
        """The file ``name``, made by ffmpeg with ``arguments`` if it is not there yet."""
        target = self.folder / name
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            command = [str(self.tools.ffmpeg), "-nostdin", "-v", "error", "-y", *arguments, str(target)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
        return target

    def _sources(self, seconds: int | None = None) -> list[str]:
        length = seconds or self.seconds
        picture = f"testsrc2=s=160x120:r=10:d={length}"
        sound = f"anoisesrc=d={length}:a=0.3:r=44100:seed=7"
        return ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]

    def mp4(self) -> Path:
        """Faststart H.264 + AAC."""
        return self.ffmpeg("v.mp4", *self._sources(), *VIDEO, "-c:a", "aac", "-movflags", "+faststart")

    def long_mp4(self, seconds: int = 60) -> Path:
        return self.ffmpeg(
            f"long{seconds}.mp4", *self._sources(seconds), *VIDEO, "-c:a", "aac", "-movflags", "+faststart"
        )

    def copy(self, name: str, *options: str) -> Path:
        """The MP4's streams in another container, by the name's suffix."""
        return self.ffmpeg(name, "-i", str(self.mp4()), *(options or ("-c", "copy")))

    def moov_at_end(self) -> Path:
        return self.copy("end.mp4")

    def fragmented(self) -> Path:
        return self.copy("frag.mp4", "-c", "copy", "-movflags", "+frag_keyframe+empty_moov")

    def webm(self) -> Path:
        return self.copy("v.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus")

    def live_webm(self) -> Path:
        """As a browser's recorder writes it: no duration, no sizes."""
        return self.copy(
            "live.webm", "-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libopus", "-live", "1"
        )

    def silent(self) -> Path:
        """Video without an audio track."""
        return self.copy("silent.mp4", "-c", "copy", "-an")

    def audio_only(self) -> Path:
        return self.copy("a.m4a", "-c", "copy", "-vn")

    def cover_art(self) -> Path:
        picture = self.ffmpeg("cover.jpg", "-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1")
        return self.ffmpeg(
            "cover.m4a", "-i", str(self.audio_only()), "-i", str(picture), "-map", "0:a", "-map", "1:v",
            "-c", "copy", "-disposition:v", "attached_pic",
        )  # fmt: skip

    def multi_track(self) -> Path:
        """Two audio tracks; the second is the default."""
        return self.ffmpeg(
            "multi.mkv", *self._sources(), "-f", "lavfi", "-i", f"sine=d={self.seconds}",
            "-map", "0:v", "-map", "1:a", "-map", "2:a", *VIDEO, "-c:a", "aac",
            "-disposition:a:0", "0", "-disposition:a:1", "default",
        )  # fmt: skip

    def hls(self) -> Path:
        """A media playlist with TS segments, ``hls/media.m3u8``."""
        segments = self.folder / "hls" / "s%02d.ts"
        return self.copy(
            "hls/media.m3u8", "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod",
            "-hls_segment_filename", str(segments),
        )  # fmt: skip

    def dash(self) -> Path:
        """Separate audio and video, ``dash/m.mpd``."""
        return self.copy("dash/m.mpd", "-c", "copy", "-f", "dash", "-seg_duration", "1")

    def damaged(self, name: str, source: Path, how: str) -> Path:
        """``source`` cut to 60 %, zeroed from 60 % on, with a hole in the middle, or with bits flipped."""
        target = self.folder / name
        data = bytearray(source.read_bytes())
        size = len(data)
        if how == "cut":
            del data[size * 6 // 10 :]
        elif how == "zero-tail":
            data[size * 6 // 10 :] = bytes(size - size * 6 // 10)
        elif how == "hole":
            data[size // 2 : size // 2 + size // 5] = bytes(size // 5)
        elif how == "flip":
            dice = random.Random(7)
            for _ in range(300):
                data[dice.randrange(12_000, size)] ^= 1 << dice.randrange(8)
        else:
            raise ValueError(how)
        target.write_bytes(data)
        return target


_KEPT: dict[Path, Samples] = {}


def samples_in(folder: Path) -> Samples:
    """The samples kept in ``folder``, one object per folder."""
    return _KEPT.setdefault(folder, Samples(folder))
