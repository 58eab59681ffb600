"""What ffmpeg and ffprobe may use: time, memory, output, threads. Files that ask for more do not get it."""

from __future__ import annotations

import os
import struct
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import AudioExtractionFailed, DeadlineExceeded, IngestError, SourceRefused
from ingestctl.domain.stop import Stop
from ingestctl.media.ffmpeg_tool import FFmpegTool, MediaLimits
from ingestctl.media.tools import find_tools
from tests.hostile.kit import Kit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.media.base import AudioTrack

PICTURE = ("-f", "lavfi", "-i", "color=s=160x120:r=1:d=1")
MB = 1 << 20


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path / "bombs")


class Watch:
    """Looks at this process's children while they run: their kernel limits, most memory, most threads."""

    def __init__(self) -> None:
        self.limits: dict[str, tuple[str, str]] = {}
        self.memory = self.threads = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            for child in _children():
                try:
                    if not os.readlink(child / "exe").rsplit("/", 1)[-1].startswith(("ffmpeg", "ffprobe")):
                        continue
                    status = (child / "status").read_text()
                    self.memory = max(self.memory, _number(status, "VmHWM:") * 1024)
                    self.threads = max(self.threads, _number(status, "Threads:"))
                    for line in (child / "limits").read_text().splitlines()[1:]:
                        name, soft, hard = line[:26].strip(), line[26:47].strip(), line[47:68].strip()
                        self.limits[name] = soft, hard
                except (OSError, IndexError, StopIteration):  # it has just ended
                    continue


def _children() -> Iterator[Path]:
    for task in Path("/proc/self/task").iterdir():
        try:
            pids = (task / "children").read_text().split()
        except OSError:
            continue
        yield from (Path("/proc") / pid for pid in pids)


def _number(status: str, name: str) -> int:
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


def _extract(kit: Kit, path: Path, limits: MediaLimits) -> AudioTrack:
    tool = FFmpegTool(find_tools, limits=limits)
    return tool.extract_audio(path, tool.probe(path, Stop()), kit.folder.parent, Stop())


def _bomb(kit: Kit, seconds: int = 1800) -> Path:
    """A film whose sound is half an hour of nothing, in a few kilobytes."""
    sound = ("-f", "lavfi", "-i", f"anullsrc=r=8000:cl=mono:d={seconds}")
    kit.ffmpeg(*PICTURE, *sound, "-c:v", "mpeg4", "-c:a", "flac", "-frame_size", "32768", "bomb.mkv")
    return kit.folder / "bomb.mkv"


def test_a_few_kilobytes_cannot_become_gigabytes(kit: Kit, figures: Callable[[str], None]) -> None:
    bomb = _bomb(kit)
    assert bomb.stat().st_size < 200_000
    most, over = [0], threading.Event()

    def look() -> None:
        while not over.wait(0.002):
            most.extend(p.stat().st_size for p in kit.folder.parent.glob("*.wav"))

    looker = threading.Thread(target=look)
    looker.start()
    with Watch() as watch, pytest.raises(AudioExtractionFailed, match="limit"):
        _extract(kit, bomb, MediaLimits(max_duration_s=300))
    over.set()
    looker.join()
    allowed = 300 * 32_000 + 4096
    assert 0 < max(most) <= allowed
    assert watch.limits["Max file size"] == (str(allowed), str(allowed))
    assert watch.limits["Max core file size"] == ("0", "0")
    assert watch.limits["Max address space"] == (str(4 << 30), str(4 << 30))
    figures(f"hostile media, bombs: {bomb.stat().st_size} bytes stopped at {max(most)} of {1800 * 32_000}")


def test_a_bomb_of_time_ends_at_its_deadline(kit: Kit) -> None:
    bomb, others = _bomb(kit, 3600), set(_children())  # services, for instance
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        _extract(kit, bomb, MediaLimits(base_deadline_s=0.1, slowest_speed=1e6))
    assert time.monotonic() - began < 60
    assert not set(_children()) - others
    assert not list(kit.folder.parent.glob("*.wav"))


def test_what_is_truly_too_long_is_refused_before_any_work(kit: Kit) -> None:
    kit.ffmpeg(*PICTURE, "-f", "lavfi", "-i", "anoisesrc=d=60", "-c:v", "mpeg4", "-c:a", "aac", "long.mp4")
    with pytest.raises(SourceRefused, match="60 s long; at most 30 s"):
        _extract(kit, kit.folder / "long.mp4", MediaLimits(max_duration_s=30))


def _enormous(kit: Kit) -> Iterator[tuple[str, bytes]]:
    """Films of one second that say they are 65,000 pixels wide and high: 12 GB a picture."""
    sound = ("-f", "lavfi", "-i", "anoisesrc=d=1:a=0.3")
    kit.ffmpeg(*PICTURE, *sound, "-c:v", "mjpeg", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le", "jpeg.avi")
    data = bytearray((kit.folder / "jpeg.avi").read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    yield "jpeg.avi", bytes(data)
    kit.ffmpeg(*PICTURE, *sound, "-c:v", "ffv1", "-c:a", "flac", "ffv1.mkv")
    # PixelWidth and PixelHeight, one byte each; FFV1 takes its size from the container.
    lines = (kit.folder / "ffv1.mkv").read_bytes()
    assert b"\xb0\x81\xa0\xba\x81\x78" in lines
    yield "ffv1.mkv", lines.replace(b"\xb0\x81\xa0\xba\x81\x78", b"\xb0\x84\0\0\xfd\xe8")
    kit.ffmpeg(*PICTURE, *sound, "-c:v", "mpeg4", "-c:a", "aac", "mpeg4.mp4")
    data = bytearray((kit.folder / "mpeg4.mp4").read_bytes())
    at = data.index(b"mp4v") + 28
    assert data[at : at + 4] == struct.pack(">HH", 160, 120)
    data[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    yield "mpeg4.mp4", bytes(data)


def test_pictures_of_an_enormous_size_take_no_memory(kit: Kit, figures: Callable[[str], None]) -> None:
    """The sound comes out, or the file is refused; either way the child stays small, decoding or not."""
    told, limits = [], MediaLimits(memory=1 << 30)
    for name, data in _enormous(kit):
        path = kit.write(f"enormous-{name}", data)
        with Watch() as watch:
            try:
                ended = f"{_extract(kit, path, limits).duration_s:.1f} s of audio"
            except IngestError as error:
                ended = error.code
            FFmpegTool(find_tools, limits=limits).check_decodes(path, Stop())
        assert ended in ("1.0 s of audio", "audio_extraction_failed", "not_media"), name
        assert watch.limits["Max address space"] == (str(1 << 30), str(1 << 30))
        assert watch.memory < 1 << 30, name
        told.append(f"{name} {ended} with {watch.memory // MB} MB")
    figures(f"hostile media, memory: {'; '.join(told)}")


def test_the_kernel_holds_ffmpeg_to_its_memory(kit: Kit) -> None:
    """With less than it needs to begin, it fails, and nothing is said about the file."""
    kit.ffmpeg(*PICTURE, "-f", "lavfi", "-i", "anoisesrc=d=1", "-c:v", "mpeg4", "-c:a", "aac", "small.mp4")
    tool = FFmpegTool(find_tools, limits=MediaLimits(memory=24 * MB))
    with pytest.raises(IngestError) as caught:
        tool.probe(kit.folder / "small.mp4", Stop())
    assert caught.value.code in ("audio_extraction_failed", "tool_missing")
    assert tool.check_decodes(kit.folder / "small.mp4", Stop()).state == "unknown"


def test_threads_are_few_however_many_cores_there_are(kit: Kit) -> None:
    """ffmpeg has six of its own; a decoder would add one for every core."""
    video = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=20", "-f", "lavfi", "-i", "anoisesrc=d=20")
    kit.ffmpeg(*video, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", "t.mp4")
    tool = FFmpegTool(find_tools)
    with Watch() as watch:
        found = tool.probe(kit.folder / "t.mp4", Stop())
        tool.extract_audio(kit.folder / "t.mp4", found, kit.folder.parent, Stop())
    assert 0 < watch.threads <= 10
    with Watch() as watch:
        assert (
            FFmpegTool(find_tools, limits=MediaLimits(threads=1))
            .check_decodes(kit.folder / "t.mp4", Stop())
            .state
            == "ok"
        )
    one = watch.threads
    with Watch() as watch:
        assert (
            FFmpegTool(find_tools, limits=MediaLimits(threads=9))
            .check_decodes(kit.folder / "t.mp4", Stop())
            .state
            == "ok"
        )
    assert one + 5 <= watch.threads <= one + 12
