from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import struct
import subprocess
import threading
import time
import wave
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import (
    AudioExtractionFailed,
    DeadlineExceeded,
    Interrupted,
    NoAudioStream,
    NotMedia,
    ScratchFull,
    ToolMissing,
)
from ingestctl.domain.stop import Stop
from ingestctl.media import tools as tools_module
from ingestctl.media.ffmpeg_tool import FFmpegTool, MediaLimits
from ingestctl.media.probe import input_options
from ingestctl.media.tools import Tools, find_tools, plain_names, version

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.media.base import AudioTrack, Probe
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

TOOL = FFmpegTool(find_tools)


def _probe(path: Path) -> Probe:
    return TOOL.probe(path, Stop())


def _extract(path: Path, into: Path, tool: FFmpegTool = TOOL) -> AudioTrack:
    return tool.extract_audio(path, _probe(path), into, Stop())


# --- good files, odd ones among them -------------------------------------------------------------


def _good(samples: Samples) -> dict[str, Path]:
    copy = samples.copy
    return {
        "video/mp4": samples.mp4(),
        "video/mp4 ": samples.moov_at_end(),
        "video/mp4  ": samples.fragmented(),
        "video/mp4   ": copy("edited.mp4", "-c", "copy", "-ss", "1.3"),
        "video/mp4    ": copy("short-audio.mp4", "-c:v", "copy", "-af", "atrim=end=2"),
        "video/quicktime": copy("pcm.mov", "-c:v", "copy", "-c:a", "pcm_s16le"),
        "video/webm": samples.webm(),
        "video/webm ": samples.live_webm(),
        "video/x-matroska": samples.multi_track(),
        "video/x-matroska ": copy("surround.mkv", "-c:v", "copy", "-ac", "6", "-c:a", "ac3"),
        "video/mp2t": copy("v.ts"),
        "video/x-flv": copy("v.flv"),
        "video/3gpp": copy("v.3gp", "-c:v", "copy", "-ar", "8000", "-c:a", "aac", "-b:a", "12k"),
        "video/x-msvideo": copy("v.avi", "-c:v", "mpeg4", "-c:a", "libmp3lame"),
        "video/x-msvideo ": copy("pcm.avi", "-c:v", "mpeg4", "-c:a", "pcm_s16le"),
        "video/x-ms-asf": copy("v.wmv", "-c:v", "wmv2", "-c:a", "wmav2"),
        "video/mpeg": copy("v.mpg", "-c:v", "mpeg2video", "-r", "25", "-c:a", "mp2"),
        "audio/ogg": copy("a.ogg", "-vn", "-c:a", "libopus"),
        "audio/mpeg": copy("a.mp3", "-vn", "-c:a", "libmp3lame", "-write_xing", "0", "-q:a", "5"),
        "audio/flac": copy("a.flac", "-vn", "-c:a", "flac"),
        "audio/wav": copy("a.wav", "-vn", "-ar", "8000"),
        "audio/aac": copy("a.aac", "-vn", "-c:a", "aac"),
        "audio/mp4": samples.cover_art(),
    }


def test_good_files_pass_whole_and_are_told_from_their_bytes(samples: Samples, tmp_path: Path) -> None:
    for content_type, path in _good(samples).items():
        nameless = tmp_path / "-concat:x.mp4"  # neither suffix nor a leading dash may matter
        shutil.copy(path, nameless)
        probe = _probe(nameless)
        assert probe.content_type == content_type.strip(), path
        track = _extract(nameless, tmp_path)
        expected = {"edited.mp4": 2.7, "short-audio.mp4": 2.0}.get(path.name, 4.0)
        assert track.duration_s == pytest.approx(expected, abs=0.15), path
        assert track.decode_errors == 0, path
        with wave.open(str(track.path)) as wav:
            assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (16000, 1, 2)
            assert wav.getnframes() == track.samples
        assert probe.declared_size in (None, probe.size_bytes), path


def test_the_same_input_gives_the_same_bytes(samples: Samples, tmp_path: Path) -> None:
    wav = _extract(samples.mp4(), tmp_path).path.read_bytes()
    assert b"Lavf" not in wav  # nor does it name the ffmpeg that made it
    first = hashlib.sha256(wav).hexdigest()
    renamed = tmp_path / "other name"
    shutil.copy(samples.mp4(), renamed)
    assert hashlib.sha256(_extract(renamed, tmp_path).path.read_bytes()).hexdigest() == first


def test_the_default_track_is_taken(samples: Samples, tmp_path: Path) -> None:
    assert _extract(samples.multi_track(), tmp_path).stream_index == 2


def test_cover_art_is_not_video(samples: Samples) -> None:
    probe = _probe(samples.cover_art())
    assert probe.video is None
    assert probe.audio is not None


def test_a_fragmented_file_with_an_absurd_duration_passes_with_a_warning(
    samples: Samples, tmp_path: Path
) -> None:
    data = bytearray(samples.fragmented().read_bytes())
    for kind, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = -1
        while (at := data.find(kind, at + 1)) >= 0:
            data[at + offset : at + offset + 4] = struct.pack(">I", 900_000_000)
    absurd = tmp_path / "absurd.mp4"
    absurd.write_bytes(data)
    assert _extract(absurd, tmp_path).duration_s == pytest.approx(4.0, abs=0.1)


# --- damage ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["v.mp4", "end.mp4", "frag.mp4", "v.webm", "v.flv", "v.avi", "v.wmv"])
def test_a_cut_file_is_found_by_its_own_declared_size(samples: Samples, tmp_path: Path, name: str) -> None:
    whole = next(p for p in _good(samples).values() if p.name == name)
    cut = samples.damaged(f"cut-{name}", whole, "cut")
    with pytest.raises(AudioExtractionFailed) as caught:
        _extract(cut, tmp_path)
    has, declares = map(int, re.findall(r"\d+", caught.value.message))
    assert has == cut.stat().st_size < declares <= whole.stat().st_size
    assert caught.value.retryable == "yes"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("v.mp4", "zero-tail"), ("v.mp4", "flip"), ("frag.mp4", "flip"), ("v.mp4", "hole"),
        ("v.webm", "hole"),
        ("v.ts", "hole"), ("v.ts", "flip"), ("v.flv", "hole"), ("v.avi", "hole"), ("v.wmv", "hole"),
        ("a.ogg", "hole"), ("a.flac", "cut"), ("a.flac", "flip"), ("a.mp3", "hole"),
    ],
)  # fmt: skip
def test_lost_audio_is_a_failure(samples: Samples, tmp_path: Path, name: str, how: str) -> None:
    whole = next(p for p in _good(samples).values() if p.name == name)
    bad = samples.damaged(f"{how}-{name}", whole, how)
    with pytest.raises(AudioExtractionFailed) as caught:
        _extract(bad, tmp_path)
    assert caught.value.evidence
    assert not list(tmp_path.iterdir())


def test_missing_index_entries_are_found_though_every_packet_decodes(
    samples: Samples, tmp_path: Path
) -> None:
    whole = samples.copy("v.avi", "-c:v", "mpeg4", "-c:a", "libmp3lame")
    bad = samples.damaged("hole2-v.avi", whole, "hole")
    with pytest.raises(AudioExtractionFailed, match="Audio is missing"):
        _extract(bad, tmp_path)


def test_a_video_without_audio(samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(NoAudioStream):
        _extract(samples.silent(), tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!DOCTYPE html><html></html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"ffconcat version 1.0\nfile '/etc/hostname'\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/hostname\n",
        b"PK\x03\x04" + bytes(500),
        os.urandom(64).replace(b"\xff", b"\0") * 300,
        bytes(20_000),
        b"\0P6\n1 1\n255\nabc",
    ],
)
def test_what_is_no_media_is_refused(tmp_path: Path, content: bytes) -> None:
    fake = tmp_path / "fake.mp4"
    fake.write_bytes(content)
    with pytest.raises(NotMedia):
        _probe(fake)


def test_a_script_that_hides_among_binary_reads_no_other_file(samples: Samples, tmp_path: Path) -> None:
    shutil.copy(samples.mp4(), tmp_path / "other.mp4")
    script = tmp_path / "script.mp4"
    script.write_bytes(b"ffconcat version 1.0\n# \x01\nfile other.mp4\n")
    with pytest.raises(NotMedia):
        _probe(script)


def test_nothing_but_a_file_is_opened(samples: Samples, source_server: SourceServer) -> None:
    """Whatever a container that is let in may name."""
    options = [word for name, value in input_options().items() for word in (f"-{name}", value)]
    url = source_server.url(samples.mp4().name)
    asked = source_server.count()
    done = subprocess.run([find_tools().ffprobe, *options, "-i", url], capture_output=True, check=False)
    assert done.returncode != 0
    assert b"not on whitelist" in done.stderr
    assert source_server.count() == asked


def test_images_are_no_media(samples: Samples) -> None:
    samples.cover_art()
    with pytest.raises(NotMedia, match="JPEG"):
        _probe(samples.folder / "cover.jpg")


def test_a_container_without_its_index_is_damaged_and_not_foreign(samples: Samples, tmp_path: Path) -> None:
    bad = tmp_path / "no-moov.mp4"
    bad.write_bytes(samples.mp4().read_bytes().replace(b"moov", b"abcd", 1))
    with pytest.raises(AudioExtractionFailed, match="damaged"):
        _probe(bad)


def test_a_small_file_cannot_fill_the_disk(samples: Samples, tmp_path: Path) -> None:
    bomb = samples.ffmpeg("bomb.flac", "-f", "lavfi", "-i", "anullsrc=r=8000:d=3600", "-c:a", "flac")
    small = FFmpegTool(find_tools, limits=MediaLimits(max_duration_s=600))
    largest, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.005):
            with contextlib.suppress(FileNotFoundError):
                largest.append((tmp_path / "audio.wav").stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    with pytest.raises(AudioExtractionFailed, match="limit"):
        _extract(bomb, tmp_path, small)
    over.set()
    watcher.join()
    assert 0 < max(largest) <= 600 * 32_000 + 4096
    assert not list(tmp_path.iterdir())


# --- stopping and failing to run -----------------------------------------------------------------


@pytest.fixture
def slow_tools(samples: Samples, tmp_path: Path) -> Tools:
    """ffmpeg in real time: as slow as the media plays."""
    real = find_tools()
    slow = tmp_path / "bin" / "ffmpeg"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\nexec {real.ffmpeg} -re "$@"\n')
    slow.chmod(0o755)
    return Tools(slow, real.ffprobe, "test")


def test_a_stop_ends_ffmpeg_within_a_second(samples: Samples, slow_tools: Tools, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    stop = Stop()
    threading.Timer(0.5, stop.ask, (Interrupted("SIGTERM"),)).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        FFmpegTool(lambda: slow_tools).extract_audio(samples.mp4(), _probe(samples.mp4()), into, stop)
    assert time.monotonic() - started < 1.5
    assert not list(into.iterdir())


def test_a_deadline_is_kept(samples: Samples, slow_tools: Tools, tmp_path: Path) -> None:
    limits = MediaLimits(base_deadline_s=0.3, slowest_speed=1000)
    with pytest.raises(DeadlineExceeded):
        FFmpegTool(lambda: slow_tools, limits=limits).extract_audio(
            samples.mp4(), _probe(samples.mp4()), tmp_path, Stop()
        )
    assert not list(tmp_path.glob("*.wav"))


def test_a_full_disk_is_said_to_be_full(samples: Samples, tmp_path: Path) -> None:
    real = find_tools()
    fake = tmp_path / "ffmpeg"
    fake.write_text("#!/bin/sh\necho 'av_interleaved_write_frame(): No space left on device' >&2\nexit 228\n")
    fake.chmod(0o755)
    into = tmp_path / "into"
    into.mkdir()
    tool = FFmpegTool(lambda: Tools(fake, real.ffprobe, "test"))
    with pytest.raises(ScratchFull):
        tool.extract_audio(samples.mp4(), _probe(samples.mp4()), into, Stop())


def test_a_probe_that_cannot_run_says_nothing_about_the_file(samples: Samples, tmp_path: Path) -> None:
    real = find_tools()
    broken = tmp_path / "ffprobe"
    broken.write_text("#!/bin/sh\nkill -SEGV $$\n")
    broken.chmod(0o755)
    tool = FFmpegTool(lambda: Tools(real.ffmpeg, broken, "test"))
    with pytest.raises(AudioExtractionFailed) as caught:
        tool.probe(samples.mp4(), Stop())
    assert caught.value.retryable == "yes"
    assert tool.check_decodes(samples.mp4(), Stop()).state == "unknown"
    gone = FFmpegTool(lambda: Tools(real.ffmpeg, tmp_path / "none", "test"))
    with pytest.raises(ToolMissing):
        gone.probe(samples.mp4(), Stop())
    assert gone.check_decodes(samples.mp4(), Stop()).state == "unknown"


def test_check_decodes(samples: Samples, tmp_path: Path) -> None:
    assert TOOL.check_decodes(samples.mp4(), Stop()).state == "ok"
    assert TOOL.check_decodes(samples.webm(), Stop()).state == "ok"
    for how in ("cut", "zero-tail", "flip"):
        bad = samples.damaged(f"check-{how}.mp4", samples.mp4(), how)
        assert TOOL.check_decodes(bad, Stop()).state == "bad"
    (tmp_path / "text.mp4").write_text("hello")
    assert TOOL.check_decodes(tmp_path / "text.mp4", Stop()).state == "bad"
    av1 = samples.copy("av1.mp4", "-c:v", "libsvtav1", "-preset", "12", "-c:a", "copy")
    assert TOOL.check_decodes(av1, Stop()).state in ("ok", "unknown")


# --- finding the programs --------------------------------------------------------------------------


def test_tools_are_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = find_tools()
    folder = plain_names(real, tmp_path / "plain")
    assert find_tools(folder) == Tools(folder / "ffmpeg", folder / "ffprobe", "INGESTCTL_FFMPEG")
    assert find_tools(folder / "ffmpeg").ffprobe == folder / "ffprobe"
    monkeypatch.setenv("PATH", str(folder))
    assert find_tools() == Tools(folder / "ffmpeg", folder / "ffprobe", "PATH")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_tools().origin == "bundled"
    monkeypatch.setattr(tools_module, "_bundled", lambda: None)
    with pytest.raises(ToolMissing, match="ffmpeg and ffprobe"):
        find_tools()
    with pytest.raises(ToolMissing, match="INGESTCTL_FFMPEG"):
        find_tools(tmp_path / "nowhere")
    assert version(real.ffmpeg, Stop())
    with pytest.raises(ToolMissing):
        version(tmp_path / "nowhere", Stop())
