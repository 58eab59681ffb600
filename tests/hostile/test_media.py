"""The hostile corpus, played through the real probe and extraction: what must come out does."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.hostile import damage, nomedia, odd, scripts
from tests.hostile.canary import FileCanaries, PortCanary
from tests.hostile.kit import Encoding, Kit, Played, counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)
FLOORS = {"references": 50, "no media": 75, "odd": 80, "damage": 200}
"""Files that each family must have: the corpus may grow, and may not shrink unnoticed."""
CLIP = Encoding(
    "clip.mp4",
    "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -f lavfi -i anoisesrc=d=1:a=0.3:seed=7 " + odd.X264 + "-c:a aac",
)


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    return Kit(tmp_path / "corpus")


@pytest.fixture
def clip(kit: Kit) -> bytes:
    """A good video of one second, its index at the end."""
    kit.ffmpeg(*CLIP.options.split(), CLIP.name)
    return (kit.folder / CLIP.name).read_bytes()


@pytest.fixture
def port() -> Iterator[PortCanary]:
    canary = PortCanary()
    yield canary
    canary.close()


def _told(
    figures: Callable[[str], None], family: str, kit: Kit, outcomes: Counter[str], more: str = ""
) -> None:
    wrong = f"{len(kit.wrong)} violations"
    figures(f"hostile media, {family}: {kit.played} files, {counted(outcomes)}{more}, {wrong}")
    assert kit.wrong == [], "\n".join(kit.wrong)
    assert kit.played >= FLOORS[family]


def _outcome(got: Played) -> str:
    return got.code or "whole"


def test_the_corpus_is_large_enough() -> None:
    assert sum(FLOORS.values()) >= 120


def test_nothing_outside_the_file_is_ever_opened(
    kit: Kit, clip: bytes, port: PortCanary, figures: Callable[[str], None]
) -> None:
    """The kernel watches the files that are named, and a port who comes: neither may stir."""
    other = kit.folder / "other.mp4"
    kit.ffmpeg("-f", "lavfi", "-i", "sine=d=9", "-c:a", "aac", other.name)
    places = {"other": other.name, "abs": str(other), "port": port.port}
    places["http"] = f"http://127.0.0.1:{port.port}/other.mp4"
    scripts_ = {name: text.format(**places).encode("latin-1") for name, text in scripts.TEXTS.items()}
    movies = dict(scripts.movies(clip, other.name, str(other), str(places["http"])))
    names = dict.fromkeys(scripts.NAMES, clip)
    for name, data in {**scripts_, **movies, **names}.items():
        kit.write(name, data)
    kit.write("img001.png", b"\x89PNG\r\n\x1a\n")
    watched = FileCanaries(kit.folder)
    outcomes: Counter[str] = Counter()
    for name in (*scripts_, *movies, *names):
        got = kit.play(kit.folder / name)
        outcomes[_outcome(got)] += 1
        own = got.code is None and abs(got.seconds - 1) < 0.15
        if name in scripts_:
            kit.expect(name, got, got.code == "not_media", "not_media")
        elif name in movies:
            damaged = got.code in ("not_media", "audio_extraction_failed")
            kit.expect(
                name, got, damaged or (name.startswith("data-") and own), "a refusal, or its own audio"
            )
        else:
            # A pattern is image2's by its name alone, which is not allowed, whatever the file holds.
            kit.expect(name, got, own or name == scripts.PATTERN, "its own audio")
        touched = watched.opened() - {name}
        if touched:
            kit.wrong.append(f"{name}: {sorted(touched)} opened")
        if port.came:
            kit.wrong.append(f"{name}: the network was asked {port.came} times")
            port.came = 0
    watched.close()
    _told(
        figures, "references", kit, outcomes, more=", 0 other files opened, 0 connections" * (not kit.wrong)
    )


def test_the_canaries_sing(kit: Kit, clip: bytes, port: PortCanary) -> None:
    """An ffprobe that is not held opens the other file, and the network: so would the test above see it."""
    watched = FileCanaries(kit.folder)
    for text in (
        "ffconcat version 1.0\nfile clip.mp4\n",
        f"ffconcat version 1.0\nfile tcp://127.0.0.1:{port.port}\n",
    ):
        script = kit.write("script.mp4", text.encode())
        command = [str(kit.tools.ffprobe), "-v", "quiet", "-safe", "0", "-protocol_whitelist", "file,tcp"]
        subprocess.run([*command, "-f", "concat", "-i", str(script)], check=False, timeout=60)
    assert "clip.mp4" in watched.opened()
    assert port.came
    watched.close()


def test_what_is_no_media_is_said_to_be_none(kit: Kit, clip: bytes, figures: Callable[[str], None]) -> None:
    inputs = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1")
    missing = kit.encode(inputs, nomedia.IMAGES)
    names = [row.name for row in nomedia.IMAGES if row.name not in missing]
    for name, data in nomedia.made_by_hand(clip).items():
        names.append(name)
        kit.write(name, data)
    outcomes: Counter[str] = Counter()
    for name in names:
        disguised = kit.folder / f"{name}.mp4"
        (kit.folder / name).rename(disguised)
        got = kit.play(disguised)
        outcomes[_outcome(got)] += 1
        kit.expect(name, got, got.code == "not_media", "not_media")
    _told(figures, "no media", kit, outcomes, _unmade(missing))


def _unmade(missing: dict[str, str]) -> str:
    return f" (not made for want of: {', '.join(sorted(set(missing.values())))})" if missing else ""


def test_good_files_are_never_refused_however_odd(kit: Kit, figures: Callable[[str], None]) -> None:
    kit.ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-frames:v", "1", "cover.jpg")
    kit.write("subtitle.srt", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    missing = kit.encode(odd.INPUTS, odd.ENCODINGS)
    rows = [row for row in odd.ENCODINGS if row.name not in missing]
    for row in odd.COPIES:
        kit.ffmpeg(*row.options.split(), row.name)
    for name, options in odd.PIPED.items():
        with (kit.folder / name).open("wb") as file:
            command = [str(kit.tools.ffmpeg), "-v", "error", *options.split(), "pipe:1"]
            subprocess.run(command, stdout=file, check=True, cwd=kit.folder)
    for name, (of, remake, _) in odd.REMADE.items():
        kit.write(name, remake((kit.folder / of).read_bytes()))
    rows += odd.COPIES
    rows += [Encoding(name, "") for name in odd.PIPED]
    rows += [Encoding(name, "", seconds) for name, (_, _, seconds) in odd.REMADE.items()]
    outcomes: Counter[str] = Counter()
    for row in rows:
        got = kit.play(kit.folder / row.name)
        outcomes[_outcome(got)] += 1
        assert row.seconds is not None
        right = got.code is None and abs(got.seconds - row.seconds) <= 0.16
        kit.expect(row.name, got, right, f"{row.seconds} s of audio")
        if right and row.track is not None:
            # The other tracks are silent, so what was taken is heard.
            kit.expect(row.name, got, got.loud_s > 0.8, f"track {row.track}")
        if right and "silence" not in row.name and "surround" not in row.name:
            kit.expect(row.name, got, got.loud_s >= row.seconds - 0.16, "sound all through")
    _told(figures, "odd", kit, outcomes, _unmade(missing))


def test_damaged_files_are_refused_or_whole(kit: Kit, figures: Callable[[str], None]) -> None:
    """A success must have all the audio of the undamaged file, by length and by what is heard."""
    missing = kit.encode(damage.INPUTS, damage.BASES)
    outcomes: Counter[str] = Counter()
    for base in damage.BASES:
        whole = (kit.folder / base.name).read_bytes()
        good = kit.play(kit.folder / base.name)
        kit.expect(base.name, good, good.code is None and good.seconds > 1.9, "the whole file to pass")
        for how, inflict in damage.DAMAGE.items():
            name = f"{base.name}, {how}"
            got = kit.play(kit.write(f"bad-{base.name}", inflict(whole)))
            outcomes[_outcome(got)] += 1
            lost = max(good.seconds - got.seconds, good.loud_s - got.loud_s - 0.05)
            kept = got.code is None and lost <= damage.TOLERANCE_S
            may_keep = (base.name, how) in damage.UNTOLD or not how.startswith(damage.MUST_REFUSE) or kept
            refused = got.code in ("audio_extraction_failed", "not_media", "no_audio_stream")
            kit.expect(
                name, got, refused or (may_keep and (kept or (base.name, how) in damage.UNTOLD)), "a refusal"
            )
    _told(figures, "damage", kit, outcomes, _unmade(missing))


def test_a_track_without_a_single_sample_is_a_failure(kit: Kit) -> None:
    silent = (
        "-f lavfi -i testsrc2=s=160x120:r=10:d=1 -f lavfi -i anullsrc=d=1 -map 0 -map 1 -c:v mpeg4 -c:a aac"
    )
    kit.ffmpeg(*silent.split(), "-bsf:a", "noise=drop=1", "empty-track.mkv")
    got = kit.play(kit.folder / "empty-track.mkv")
    assert got.code == "audio_extraction_failed"


def test_a_file_is_read_and_nothing_else_of_its_folder(kit: Kit, clip: bytes) -> None:
    """Not even a neighbour with a telling name: indexes, subtitles, keys."""
    for name in ("clip.srt", "clip.mp4.idx", "clip.key", "clip.m3u8", "clip.ffpreset", ".ffmpeg"):
        kit.write(name, b"x")
    watched = FileCanaries(kit.folder)
    shutil.copy(kit.folder / "clip.mp4", kit.folder / "played.mp4")
    watched.opened()
    assert kit.play(kit.folder / "played.mp4").code is None
    assert watched.opened() == {"played.mp4"}
    watched.close()
