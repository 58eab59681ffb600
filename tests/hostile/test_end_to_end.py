"""A sample of the hostile corpus through the program itself, from a real server: cause and exit code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.worlds import World, make_world
from tests.hostile import damage, nomedia, odd, scripts
from tests.hostile.canary import FileCanaries, PortCanary
from tests.hostile.kit import Encoding, Kit
from tests.hostile.server import HostileServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run must end."""

    code: int
    cause: str | None = None


WHOLE, NOT_MEDIA = Ending(0), Ending(15, "not_media")
REFUSED = Ending(15, "invalid_source")
FILES = {
    "concat.mp4": NOT_MEDIA,
    "hls-hidden.mp4": NOT_MEDIA,
    "gab2.avi": NOT_MEDIA,
    "lfs.mp4": NOT_MEDIA,
    "zip.mp4": NOT_MEDIA,
    "random-0.mp4": NOT_MEDIA,
    "cut.mp4": Ending(20, "audio_extraction_failed"),
    "zeros.ts": Ending(15, "audio_extraction_failed"),
    "hole.mkv": Ending(15, "audio_extraction_failed"),
    "absurd.mp4": WHOLE,
    "late.ts": WHOLE,
}
URLS = {
    "v.mp4?trick=redirect&to=http://{bad}/v.mp4": REFUSED,
    "v.mp4?trick=redirect&to=file:///etc/passwd": REFUSED,
    "segment.m3u8": REFUSED,
    "v.mp4?trick=short": Ending(20, "download_timeout"),
    "v.mp4?trick=endless": REFUSED,
}


@pytest.fixture
def kit(tmp_path: Path) -> Kit:
    made = Kit(tmp_path / "root")
    made.ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64:d=1", "-frames:v", "1", "cover.jpg")
    made.write("subtitle.srt", b"1\n00:00:00,000 --> 00:00:01,000\nhello\n")
    rows = [row for row in odd.ENCODINGS if row.name in ("h264.mp4", "fragmented.mp4", "late.ts")]
    made.encode(odd.INPUTS, rows)
    bases = {"end.mp4": "cut.mp4", "v.ts": "zeros.ts", "v.mkv": "hole.mkv"}
    ways = ("cut 50 %", "zeros from 30 %", "hole")
    damaged = [Encoding(row.name, row.options) for row in damage.BASES if row.name in bases]
    made.encode(damage.INPUTS, damaged)
    for (base, name), way in zip(bases.items(), ways, strict=True):
        made.write(name, damage.DAMAGE[way]((made.folder / base).read_bytes()))
    whole = (made.folder / "h264.mp4").read_bytes()
    made.write("v.mp4", whole)
    made.write("absurd.mp4", odd.absurd_duration((made.folder / "fragmented.mp4").read_bytes()))
    by_hand = nomedia.made_by_hand(whole)
    for name in ("lfs", "zip", "random-0"):
        made.write(f"{name}.mp4", by_hand[name])
    return made


@pytest.fixture
def server(kit: Kit) -> Iterator[HostileServer]:
    made = HostileServer(kit.folder)
    yield made
    made.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = make_world("sqlite", tmp_path / "home", None, None)
    made.env |= {"INGESTCTL_RETRY_ATTEMPTS": "1", "INGESTCTL_MAX_BYTES": "5MB"}
    assert made.cli("init").code == 0
    yield made
    made.close()


def test_the_program_ends_as_it_must(
    kit: Kit, server: HostileServer, world: World, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    bad = PortCanary("127.0.0.2")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "other.mp4").write_bytes((kit.folder / "v.mp4").read_bytes())
    places = {"other": "other.mp4", "abs": str(secret / "other.mp4"), "port": str(bad.port)}
    places["http"] = f"http://127.0.0.2:{bad.port}/v.mp4"
    for name in ("concat.mp4", "hls-hidden.mp4"):
        kit.write(name, scripts.TEXTS[name].replace("{other}", "{abs}").format(**places).encode("latin-1"))
    movies = dict(
        scripts.movies(
            kit.folder.joinpath("end.mp4").read_bytes(), "other.mp4", places["abs"], places["http"]
        )
    )
    kit.write("gab2.avi", movies["gab2.avi"])
    playlist = (
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\n{http}\n#EXT-X-ENDLIST\n"
    )
    kit.write("segment.m3u8", playlist.format(**places).encode())
    watched = FileCanaries(secret)
    wrong = []
    for name, ending in {**FILES, **URLS}.items():
        path = name.replace("{bad}", f"127.0.0.2:{bad.port}")
        done = world.cli("run", "--url", f"{server.base}/{path}")
        cause = (done.data.get("diagnosis") or {}).get("cause") if done.data else None
        if (done.code, cause) != (ending.code, ending.cause):
            wrong.append(f"{name}: {done.code}, {cause}: {done.stdout[-400:]} {done.stderr[-300:]}")
        if watched.opened() or bad.came:
            wrong.append(f"{name}: something else was opened")
            bad.came = 0
        wrong += [f"{name}: left {what}" for what in world.leftovers()]
    watched.close()
    bad.close()
    whole = sum(ending is WHOLE for ending in FILES.values())
    if len(world.objects()) != 2 * whole:
        wrong.append(f"objects: {sorted(world.objects())}")
    assert os.listdir(world.home / "scratch") == []
    figures(f"hostile sources and media, end to end: {len(FILES) + len(URLS)} runs, {len(wrong)} violations")
    assert wrong == [], "\n".join(wrong)
