"""Hostile sources, fetched by the real fetcher and asked by `retry`'s one request: each is refused for the
right reason, and whoever must not be asked is not."""

from __future__ import annotations

import shutil
import socket
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from ingestctl.domain.errors import IngestError, SourceFailed
from ingestctl.domain.source import Source, SourceKind, source_of_url
from ingestctl.domain.stop import Stop
from ingestctl.media import fetch as fetch_module
from ingestctl.media.fetch import FetchLimits
from ingestctl.media.ffmpeg_tool import FFmpegTool
from ingestctl.media.reach import reach
from ingestctl.media.tools import find_tools
from tests.hostile import lures, urls
from tests.hostile.canary import FileCanaries, PortCanary
from tests.hostile.kit import counted
from tests.hostile.server import HostileServer
from tests.media_fetching import HERE, fetch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.media_samples import Samples

pytestmark = pytest.mark.timeout(600)
LIMITS = FetchLimits(
    max_bytes=4 << 20, deadline_s=60, socket_timeout_s=20, retries=0, spare_bytes=0, max_duration_s=3600
)
_BLOCK = 5 << 20
"""The largest piece that yt-dlp writes at once, and a little."""
FLOOR = 150


@pytest.fixture
def bad() -> Iterator[PortCanary]:
    """An address that is not allowed; nobody may come."""
    canary = PortCanary("0.0.0.0")
    yield canary
    canary.close()


@pytest.fixture
def server(tmp_path: Path, samples: Samples) -> Iterator[HostileServer]:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(samples.mp4(), root / "v.mp4")
    made = HostileServer(root)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names resolve as the table says, and nothing asks a real resolver."""
    real = socket.getaddrinfo
    table = {name.rstrip(".").lower(): address for name, address in urls.NAMES.items()}
    table["rebound.example"] = "127.0.0.2"

    def resolve(host: object, *rest: object, **more: object) -> object:
        name = host.decode() if isinstance(host, bytes) else str(host)
        try:
            socket.inet_aton(name)
        except (OSError, UnicodeError):
            plain = name.rstrip(".").lower()
            with_idna = next((n for n in table if n == plain or n.encode("idna").decode() == plain), None)
            if with_idna is None and ":" not in name:
                raise socket.gaierror(socket.EAI_NONAME, f"{name} is not in the table") from None
            name = table.get(with_idna or "", name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def _ended(work: Callable[..., object], *arguments: object, **more: object) -> IngestError | None:
    try:
        work(*arguments, **more)
    except IngestError as error:
        return error
    return None


class Tally:
    """Counts how URLs ended, and keeps what should not have been."""

    def __init__(self) -> None:
        self.urls = 0
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []

    def refused(
        self, how: str, url: str, error: IngestError | None, causes: tuple[str, ...] = ("invalid_source",)
    ) -> None:
        ended = "success" if error is None else error.code
        self.outcomes[f"{ended} by {how}"] += 1
        if error is None or error.cause not in causes or int(error.exit) != 15:
            told = f"{error.code}, {error.cause}, {error.exit!r}: {error.message}" if error else ended
            self.wrong.append(f"{how} {url[:150]!r}: {told}")

    def nobody_came(self, canary: PortCanary, what: str) -> None:
        if canary.came:
            self.wrong.append(f"{what}: {canary.came} connections to where nobody may come")
            canary.came = 0

    def told(self, figures: Callable[[str], None], family: str) -> None:
        figures(
            f"hostile sources, {family}: {self.urls} URLs, {counted(self.outcomes)}, "
            f"{len(self.wrong)} violations"
        )
        assert self.wrong == [], "\n".join(self.wrong)


def _submit(url: str, into: Path) -> None:
    fetch(source_of_url(url).uri, into, allow_networks=[], limits=LIMITS)


def test_the_corpus_is_large_enough() -> None:
    assert len({*urls.LITERAL, *urls.NAMED, *lures.REDIRECTS, *lures.PLAYLISTS}) + len(lures.BODIES) >= FLOOR


def test_urls_that_must_not_be_fetched(
    tmp_path: Path, bad: PortCanary, figures: Callable[[str], None]
) -> None:
    """Nothing is allowed but public addresses, and no URL here is at one."""
    tally = Tally()
    for template in (*urls.LITERAL, *urls.NAMED):
        url = template.replace("{port}", str(bad.port))
        tally.urls += 1
        # As an operator submits it, as an old row may hold it, and as retry asks for it.
        tally.refused(
            "submit",
            url,
            _ended(_submit, url, tmp_path),
        )
        tally.refused("fetch", url, _ended(fetch, url, tmp_path, allow_networks=[], limits=LIMITS))
        tally.refused("reach", url, _ended(reach, url, [], timeout_s=20))
        tally.nobody_came(bad, url)
    tally.told(figures, "addresses")


def test_redirects_are_judged_where_they_lead(
    tmp_path: Path, server: HostileServer, bad: PortCanary, figures: Callable[[str], None]
) -> None:
    tally = Tally()
    for lure in lures.REDIRECTS:
        places = {
            "bad": f"127.0.0.2:{bad.port}",
            "port": bad.port,
            "base": server.base,
            "secret": "/etc/passwd",
        }
        query = lure.format(**places).replace("\\", "%5C")
        # A name of its own, because the server counts how often it was asked for it.
        url = f"{server.base}/{quote(str(tally.urls))}.mp4?{query}"
        tally.urls += 1
        error = _ended(fetch, url, tmp_path, limits=LIMITS)
        tally.refused("fetch", url, error, ("invalid_source", "not_media"))
        if "after=1" not in url and "trick=refresh" not in url:
            tally.refused("reach", url, _ended(reach, f"{url}&again", HERE, timeout_s=20))
        tally.nobody_came(bad, url)
    tally.told(figures, "redirects")


def test_playlists_that_point_elsewhere(
    tmp_path: Path, server: HostileServer, bad: PortCanary, figures: Callable[[str], None]
) -> None:
    tally = Tally()
    secret = tmp_path / "secret" / "file"
    secret.parent.mkdir()
    shutil.copy(server.root / "v.mp4", secret)
    watched = FileCanaries(secret.parent)
    for name, text in lures.PLAYLISTS.items():
        places = {
            "{bad}": f"127.0.0.2:{bad.port}",
            "{base}": server.base,
            "{port}": str(bad.port),
            "{secret}": str(secret),
        }
        for mark, place in places.items():
            text = text.replace(mark, place)
        (server.root / name).write_text(text.replace("&", "&amp;") if name.endswith("mpd") else text)
        tally.urls += 1
        tally.refused("fetch", name, _ended(fetch, f"{server.base}/{name}", tmp_path, limits=LIMITS))
        tally.nobody_came(bad, name)
        if watched.opened():
            tally.wrong.append(f"{name}: a file of this machine was opened")
    watched.close()
    tally.told(figures, "playlists")


def test_bodies_that_mean_ill(tmp_path: Path, server: HostileServer, figures: Callable[[str], None]) -> None:
    tally, media = Tally(), FFmpegTool(find_tools)
    for body in lures.BODIES:
        into = tmp_path / body.trick
        into.mkdir()

        def work(body: lures.Body = body, into: Path = into) -> None:
            limits = replace(LIMITS, deadline_s=body.deadline_s, socket_timeout_s=body.silence_s)
            got = fetch(f"{server.base}/v.mp4?trick={body.trick}", into, limits=limits)
            media.extract_audio(got.path, media.probe(got.path, Stop()), into, Stop())

        tally.urls += 1
        error = _ended(work)
        tally.outcomes[error.code if error else "success"] += 1
        ended = (error.code, error.cause, int(error.exit)) if error else None
        if ended != (body.code, body.cause, body.exit):
            tally.wrong.append(f"{body.trick}: {ended}: {error}")
        size = sum(p.stat().st_size for p in (into / "download").rglob("*") if p.is_file())
        if size > LIMITS.max_bytes + _BLOCK:
            tally.wrong.append(f"{body.trick}: {size} bytes were written")
    tally.told(figures, "bodies")


def test_a_segment_is_bounded_because_it_is_held_in_memory(
    tmp_path: Path, server: HostileServer, samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in samples.hls().parent.iterdir():
        shutil.copy(file, server.root)
    url = f"{server.base}/media.m3u8"
    assert _ended(fetch, url, tmp_path, limits=LIMITS) is None
    monkeypatch.setattr(fetch_module, "_MAX_FRAGMENT", 10_000)
    error = _ended(fetch, url, tmp_path, limits=LIMITS)
    assert error is not None
    assert (error.code, "segment" in error.message) == ("source_refused", True)


def test_a_name_that_answers_differently_the_second_time(
    tmp_path: Path, server: HostileServer, bad: PortCanary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer is allowed; whichever connect gets the second one is refused."""
    real = socket.getaddrinfo
    url = f"http://flip.example:{bad.port}/v.mp4"
    for answers in (["127.0.0.1", "127.0.0.2"], ["127.0.0.2"], ["127.0.0.1", "10.0.0.1"]):
        given = iter([*answers, *[answers[-1]] * 20])
        monkeypatch.setattr(
            socket, "getaddrinfo", lambda host, *a, given=given, **k: real(next(given), *a, **k)
        )
        flip = url.replace(str(bad.port), str(server.port)) + "?trick=redirect&to=" + url
        error = _ended(fetch, flip, tmp_path, limits=LIMITS)
        assert isinstance(error, SourceFailed)
        assert error.code == "source_refused", error
    assert bad.came == 0


def test_a_source_of_the_platforms_own_kind_is_no_way_around(tmp_path: Path, bad: PortCanary) -> None:
    """A row may say `youtube` and name any URL: it is judged all the same."""
    from ingestctl.media.fetch import YtDlpFetcher
    from tests.media_fetching import Listener

    fetcher = YtDlpFetcher(find_tools, limits=LIMITS)
    for host in ("127.0.0.1", "loop.example"):
        source = Source(SourceKind.YOUTUBE, f"http://{host}:{bad.port}/watch?v=x")
        error = _ended(fetcher.fetch, source, tmp_path, Listener(), Stop())
        assert error is not None
        assert error.cause == "invalid_source"
    assert bad.came == 0
