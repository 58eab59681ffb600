from __future__ import annotations

import hashlib
import ipaddress
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import (
    DeadlineExceeded,
    IngestError,
    Interrupted,
    NotMedia,
    NoVideoStream,
    ScratchFull,
    SourceFailed,
    SourceRefused,
)
from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import FetchLimits, YtDlpFetcher
from ingestctl.media.tools import find_tools

if TYPE_CHECKING:
    from ingestctl.media.base import Fetched
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

HERE = [ipaddress.ip_network("127.0.0.1/32")]
QUICK = FetchLimits(socket_timeout_s=0.7, retries=1, deadline_s=30, spare_bytes=0)
ROOT = Path(__file__).parents[2]


class Listener:
    """Keeps what it was told, and reads what was said to be readable."""

    def __init__(self) -> None:
        self.grown: list[int] = []
        self.progressed: list[int] = []
        self.unreadable = 0
        self.raises: IngestError | None = None

    def growing(self, path: Path, downloaded: int, total: int | None) -> None:
        self.grown.append(downloaded)
        self.unreadable += path.stat().st_size < downloaded
        if self.raises and downloaded:
            raise self.raises

    def progress(self, downloaded: int, total: int | None) -> None:
        self.progressed.append(downloaded)


def _fetch(
    url: str, into: Path, *, listener: Listener | None = None, stop: Stop | None = None, **options: object
) -> Fetched:
    options = {"limits": QUICK, "allow_networks": HERE, **options}
    fetcher = YtDlpFetcher(find_tools, **options)  # type: ignore[arg-type]
    return fetcher.fetch(Source(SourceKind.EXTERNAL_URL, url), into, listener or Listener(), stop or Stop())


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_progressive_file_comes_byte_for_byte_and_is_followed(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original, listener = samples.mp4(), Listener()
    fetched = _fetch(source_server.url("v.mp4"), tmp_path, listener=listener)
    assert _sha(fetched.path) == _sha(original)
    assert fetched.info.title == "v"
    assert fetched.info.extractor == "Generic"
    assert listener.grown
    assert listener.unreadable == 0
    assert listener.grown == sorted(listener.grown)


def test_other_containers_and_a_query_that_stays_secret(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.webm()
    fetched = _fetch(source_server.url("v.webm") + "?token=s3cret", tmp_path)
    assert _sha(fetched.path) == _sha(original)
    assert "s3cret" not in str(fetched.info)


@pytest.mark.parametrize("name", ["hls/media.m3u8", "dash/m.mpd"])
def test_fragments_become_one_file_with_picture_and_sound(
    source_server: SourceServer, samples: Samples, tmp_path: Path, name: str
) -> None:
    samples.hls() if name.startswith("hls") else samples.dash()
    listener = Listener()
    fetched = _fetch(source_server.url(name), tmp_path, listener=listener)
    assert fetched.path.suffix == ".mp4"
    assert fetched.path.stat().st_size > 10_000
    assert [p.name for p in fetched.path.parent.iterdir()] == [fetched.path.name]
    assert not listener.grown  # its bytes are rewritten: not to be followed
    assert listener.progressed


FAULTS = [
    ("401", "download_blocked", "after-fix"),
    ("403@2", "download_blocked", "after-fix"),
    ("451", "download_blocked", "after-fix"),
    ("404", "invalid_source", "no"),
    ("404@2", "invalid_source", "no"),
    ("410", "invalid_source", "no"),
    ("429=7", "rate_limited", "yes"),
    ("429=7@2", "rate_limited", "yes"),
    ("500", "download_timeout", "yes"),
    ("503@2", "download_timeout", "yes"),
    ("reset@2", "download_timeout", "yes"),
    ("resetnow", "download_timeout", "yes"),
    ("resetnow@2", "download_timeout", "yes"),
    ("stall@2", "download_timeout", "yes"),
    ("stallheaders", "download_timeout", "yes"),
    ("trunc@2", "download_timeout", "yes"),
    ("empty", "download_timeout", "yes"),
    ("html", "invalid_source", "no"),
    ("html@2", "not_media", "no"),
    ("htmlasmp4", "not_media", "no"),
    ("loop", "invalid_source", "no"),
    ("redirectfile", "invalid_source", "no"),
]


@pytest.mark.parametrize(("fault", "cause", "retryable"), FAULTS)
def test_each_fault_has_its_cause(
    source_server: SourceServer, samples: Samples, tmp_path: Path, fault: str, cause: str, retryable: str
) -> None:
    samples.mp4()
    with pytest.raises((SourceFailed, NotMedia)) as caught:
        _fetch(source_server.url("v.mp4", fault=fault), tmp_path)
    assert (caught.value.cause, caught.value.retryable) == (cause, retryable)
    assert caught.value.evidence
    assert caught.value.retry_after == (7 if "=7" in fault else None)


def test_nobody_listening_and_no_such_host(source_server: SourceServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as refused:
        _fetch("http://127.0.0.1:9/v.mp4", tmp_path)
    assert (refused.value.cause, refused.value.retryable) == ("download_timeout", "yes")


@pytest.mark.parametrize("name", ["hls/s02.ts", "dash/chunk-stream0-00002.m4s"])
def test_a_missing_segment_is_a_failure_and_not_a_hole(
    source_server: SourceServer, samples: Samples, tmp_path: Path, name: str
) -> None:
    samples.hls(), samples.dash()
    source_server.rules[name] = "404"
    with pytest.raises(SourceFailed):
        _fetch(source_server.url("hls/media.m3u8" if "hls" in name else "dash/m.mpd"), tmp_path)


def test_a_dropped_download_is_resumed_and_whole(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.mp4()
    fetched = _fetch(source_server.url("v.mp4", fault="droponce"), tmp_path)
    assert _sha(fetched.path) == _sha(original)
    assert any(asked for _, _, asked in source_server.requests)


def test_a_download_that_begins_again_is_told_to_the_listener(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original, listener = samples.mp4(), Listener()
    fetched = _fetch(source_server.url("v.mp4", fault="noranges=drop"), tmp_path, listener=listener)
    assert _sha(fetched.path) == _sha(original)
    assert listener.grown != sorted(listener.grown)
    assert listener.unreadable == 0


def test_what_the_listener_raises_comes_out_as_it_is(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    listener = Listener()
    listener.raises = Interrupted("upload lost")
    with pytest.raises(Interrupted) as caught:
        _fetch(source_server.url("v.mp4"), tmp_path, listener=listener)
    assert caught.value is listener.raises


@pytest.mark.parametrize("fault", ["stall@2", "stallheaders", "slow=20000@2"])
def test_a_stop_returns_within_a_second_even_from_a_blocked_read(
    source_server: SourceServer, samples: Samples, tmp_path: Path, fault: str
) -> None:
    samples.mp4()
    stop = Stop()
    patient = FetchLimits(socket_timeout_s=60, spare_bytes=0)
    asked: list[float] = []

    def ask() -> None:
        asked.append(time.monotonic())
        stop.ask(Interrupted("SIGTERM"))

    threading.Timer(1.0, ask).start()
    with pytest.raises(Interrupted):
        _fetch(source_server.url("v.mp4", fault=fault), tmp_path, stop=stop, limits=patient)
    assert time.monotonic() - asked[0] < 1.2
    until = time.monotonic() + 2
    while any(t.name == "fetch" for t in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.02)
    assert not [t for t in threading.enumerate() if t.name == "fetch"]


def test_a_deadline_ends_a_slow_download(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    with pytest.raises(DeadlineExceeded):
        _fetch(
            source_server.url("v.mp4", fault="slow=20000@2"),
            tmp_path,
            limits=FetchLimits(deadline_s=1.5, spare_bytes=0),
        )


@pytest.mark.parametrize("begin", ["", "@2"])
def test_a_redirect_into_a_network_that_is_not_allowed_never_arrives(
    source_server: SourceServer, samples: Samples, tmp_path: Path, begin: str
) -> None:
    samples.mp4()
    with pytest.raises(SourceRefused, match=r"127\.0\.0\.2"):
        _fetch(source_server.url("v.mp4", fault=f"redirect=127.0.0.2{begin}"), tmp_path)
    assert not [path for _, path, _ in source_server.requests if path == "/files/v.mp4"]


def test_a_playlist_entry_in_a_network_that_is_not_allowed_is_refused(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    text = samples.hls().read_text()
    there = source_server.url("hls/s01.ts", host="127.0.0.2")
    (source_server.root / "hls" / "evil.m3u8").write_text(text.replace("s01.ts", there))
    with pytest.raises(SourceRefused, match=r"127\.0\.0\.2"):
        _fetch(source_server.url("hls/evil.m3u8"), tmp_path)
    assert source_server.count("s01.ts") == 0


def test_without_allowed_networks_loopback_is_refused_before_any_request(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    with pytest.raises(SourceRefused) as caught:
        _fetch(source_server.url("v.mp4"), tmp_path, allow_networks=[])
    assert "INGESTCTL_SOURCE_ALLOW_NETWORKS" in caught.value.hint
    with pytest.raises(SourceRefused):
        _fetch(source_server.url("v.mp4", host="localhost"), tmp_path, allow_networks=[])
    assert source_server.count() == 0


REBIND = """
import ipaddress, socket, sys
from pathlib import Path
from ingestctl.domain.errors import SourceRefused
from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import YtDlpFetcher
from ingestctl.media.tools import find_tools
answers = iter(["127.0.0.1", "127.0.0.2"] * 9)
real = socket.getaddrinfo
def rebinding(host, *args, **kwargs):
    return real(next(answers) if host == "rebind.example" else host, *args, **kwargs)
socket.getaddrinfo = rebinding
class Quiet:
    def growing(self, *a): pass
    progress = growing
fetcher = YtDlpFetcher(find_tools, allow_networks=[ipaddress.ip_network("127.0.0.1/32")])
try:
    fetcher.fetch(Source(SourceKind.EXTERNAL_URL, sys.argv[1]), Path(sys.argv[2]), Quiet(), Stop())
except SourceRefused as error:
    print("refused", error)
"""


def test_a_name_that_changes_its_address_is_judged_at_each_connect(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    # The server hangs up after the first answer, so that the download must connect anew.
    url = source_server.url("v.mp4", fault="trunc", host="rebind.example")
    done = subprocess.run(
        [sys.executable, "-c", REBIND, url, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("refused"), done.stdout + done.stderr
    assert source_server.count() == 1


def test_the_environments_proxy_is_not_used(
    source_server: SourceServer, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.mp4()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert _fetch(source_server.url("v.mp4"), tmp_path).path.exists()


def test_limits_on_size_and_space(source_server: SourceServer, samples: Samples, tmp_path: Path) -> None:
    samples.mp4()
    with pytest.raises(SourceRefused, match="at most 1000"):
        _fetch(source_server.url("v.mp4"), tmp_path, limits=FetchLimits(max_bytes=1000, spare_bytes=0))
    with pytest.raises(ScratchFull):
        _fetch(source_server.url("v.mp4"), tmp_path, limits=FetchLimits(spare_bytes=1 << 60))
    samples.hls()
    with pytest.raises(SourceRefused, match="at most 2 s"):
        _fetch(source_server.url("hls/media.m3u8"), tmp_path, limits=FetchLimits(max_duration_s=2))


def test_audio_only_is_refused_unless_accepted(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.audio_only()
    with pytest.raises(NoVideoStream):
        _fetch(source_server.url("a.m4a"), tmp_path)
    assert _sha(_fetch(source_server.url("a.m4a"), tmp_path, accept_audio_only=True).path) == _sha(original)


def test_a_live_playlist_is_refused(source_server: SourceServer, samples: Samples, tmp_path: Path) -> None:
    text = samples.hls().read_text().replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", "")
    (source_server.root / "hls" / "live.m3u8").write_text(text)
    with pytest.raises(SourceFailed) as caught:
        _fetch(source_server.url("hls/live.m3u8"), tmp_path)
    assert caught.value.cause == "invalid_source"


def test_odd_folder_names_are_no_template(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.mp4()
    into = tmp_path / "100%(id)s $HOME -x"
    into.mkdir()
    fetched = _fetch(source_server.url("v.mp4"), into)
    assert fetched.path.is_relative_to(into)
    assert _sha(fetched.path) == _sha(original)


MERGE = """
import sys, ipaddress
sys.path.insert(0, {root!r})
from pathlib import Path
from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import YtDlpFetcher
from ingestctl.media.tools import Tools
class Quiet:
    def growing(self, *a): pass
    progress = growing
fetcher = YtDlpFetcher(lambda: Tools(Path({ffmpeg!r}), Path({ffprobe!r}), "test"),
                       allow_networks=[ipaddress.ip_network("127.0.0.1/32")])
fetcher.fetch(Source(SourceKind.EXTERNAL_URL, {url!r}), Path({into!r}), Quiet(), Stop())
"""


def test_the_ffmpeg_that_merges_dies_with_its_parent(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.dash()
    tools = find_tools()
    slow = tmp_path / "slow-ffmpeg"
    # Like ffmpeg, but never done merging.
    slow.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *-map*) echo "$@" > {tmp_path}/argv; echo $$ > {tmp_path}/pid; exec sleep 60;; esac\n'
        f'exec {tools.ffmpeg} "$@"\n'
    )
    slow.chmod(0o755)
    script = MERGE.format(
        root=str(ROOT),
        ffmpeg=str(slow),
        ffprobe=str(tools.ffprobe),
        url=source_server.url("dash/m.mpd"),
        into=str(tmp_path),
    )
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    pid_file = tmp_path / "pid"
    until = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 3
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    assert "-protocol_whitelist file -format_whitelist mov," in (tmp_path / "argv").read_text()


def test_segments_that_pretend_to_be_a_playlist_open_nothing(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    folder = source_server.root / "trick"
    folder.mkdir(exist_ok=True)
    shutil.copy(samples.mp4(), folder / "hidden.mp4")
    hidden = source_server.url("trick/hidden.mp4")
    (folder / "seg.ts").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{hidden}\n#EXT-X-ENDLIST\n"
    )
    (folder / "m.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\nseg.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises((SourceFailed, NotMedia)):
        _fetch(source_server.url("trick/m.m3u8"), tmp_path)
    assert source_server.count("hidden") == 0
