from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import (
    DeadlineExceeded,
    Interrupted,
    NotMedia,
    NoVideoStream,
    ScratchFull,
    SourceFailed,
    SourceRefused,
)
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import FetchLimits
from tests.media_fetching import Listener, fetch, sha

if TYPE_CHECKING:
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

ROOT = Path(__file__).parents[2]


def test_a_progressive_file_comes_byte_for_byte_and_is_followed(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original, listener = samples.mp4(), Listener()
    fetched = fetch(source_server.url("v.mp4"), tmp_path, listener=listener)
    assert sha(fetched.path) == sha(original)
    assert fetched.info.title == "v"
    assert fetched.info.extractor == "Generic"
    assert listener.grown
    assert listener.unreadable == 0
    assert listener.grown == sorted(listener.grown)


def test_other_containers_and_a_query_that_stays_secret(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.webm()
    fetched = fetch(source_server.url("v.webm") + "?token=s3cret", tmp_path)
    assert sha(fetched.path) == sha(original)
    assert "s3cret" not in str(fetched.info)


@pytest.mark.parametrize("name", ["hls/media.m3u8", "dash/m.mpd"])
def test_fragments_become_one_file_with_picture_and_sound(
    source_server: SourceServer, samples: Samples, tmp_path: Path, name: str
) -> None:
    samples.hls() if name.startswith("hls") else samples.dash()
    listener = Listener()
    fetched = fetch(source_server.url(name), tmp_path, listener=listener)
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
        fetch(source_server.url("v.mp4", fault=fault), tmp_path)
    assert (caught.value.cause, caught.value.retryable) == (cause, retryable)
    assert caught.value.evidence
    assert caught.value.retry_after == (7 if "=7" in fault else None)


def test_nobody_listening_and_no_such_host(source_server: SourceServer, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as refused:
        fetch("http://127.0.0.1:9/v.mp4", tmp_path)
    assert (refused.value.cause, refused.value.retryable) == ("download_timeout", "yes")


@pytest.mark.parametrize("name", ["hls/s02.ts", "dash/chunk-stream0-00002.m4s"])
def test_a_missing_segment_is_a_failure_and_not_a_hole(
    source_server: SourceServer, samples: Samples, tmp_path: Path, name: str
) -> None:
    samples.hls(), samples.dash()
    source_server.rules[name] = "404"
    with pytest.raises(SourceFailed):
        fetch(source_server.url("hls/media.m3u8" if "hls" in name else "dash/m.mpd"), tmp_path)


def test_a_dropped_download_is_resumed_and_whole(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.mp4()
    fetched = fetch(source_server.url("v.mp4", fault="droponce"), tmp_path)
    assert sha(fetched.path) == sha(original)
    assert any(asked for _, _, asked in source_server.requests)


def test_a_download_that_begins_again_is_told_to_the_listener(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original, listener = samples.mp4(), Listener()
    fetched = fetch(source_server.url("v.mp4", fault="noranges=drop"), tmp_path, listener=listener)
    assert sha(fetched.path) == sha(original)
    assert listener.grown != sorted(listener.grown)
    assert listener.unreadable == 0


def test_what_the_listener_raises_comes_out_as_it_is(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    listener = Listener()
    listener.raises = Interrupted("upload lost")
    with pytest.raises(Interrupted) as caught:
        fetch(source_server.url("v.mp4"), tmp_path, listener=listener)
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
        fetch(source_server.url("v.mp4", fault=fault), tmp_path, stop=stop, limits=patient)
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
        fetch(
            source_server.url("v.mp4", fault="slow=20000@2"),
            tmp_path,
            limits=FetchLimits(deadline_s=1.5, spare_bytes=0),
        )


def test_limits_on_size_and_space(source_server: SourceServer, samples: Samples, tmp_path: Path) -> None:
    samples.mp4()
    with pytest.raises(SourceRefused, match="at most 1000"):
        fetch(source_server.url("v.mp4"), tmp_path, limits=FetchLimits(max_bytes=1000, spare_bytes=0))
    with pytest.raises(ScratchFull):
        fetch(source_server.url("v.mp4"), tmp_path, limits=FetchLimits(spare_bytes=1 << 60))
    samples.hls()
    with pytest.raises(SourceRefused, match="at most 2 s"):
        fetch(source_server.url("hls/media.m3u8"), tmp_path, limits=FetchLimits(max_duration_s=2))


def test_audio_only_is_refused_unless_accepted(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.audio_only()
    with pytest.raises(NoVideoStream):
        fetch(source_server.url("a.m4a"), tmp_path)
    assert sha(fetch(source_server.url("a.m4a"), tmp_path, accept_audio_only=True).path) == sha(original)


def test_a_live_playlist_is_refused(source_server: SourceServer, samples: Samples, tmp_path: Path) -> None:
    text = samples.hls().read_text().replace("#EXT-X-ENDLIST", "").replace("#EXT-X-PLAYLIST-TYPE:VOD", "")
    (source_server.root / "hls" / "live.m3u8").write_text(text)
    with pytest.raises(SourceFailed) as caught:
        fetch(source_server.url("hls/live.m3u8"), tmp_path)
    assert caught.value.cause == "invalid_source"


def test_odd_folder_names_are_no_template(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    original = samples.mp4()
    into = tmp_path / "100%(id)s $HOME -x"
    into.mkdir()
    fetched = fetch(source_server.url("v.mp4"), into)
    assert fetched.path.is_relative_to(into)
    assert sha(fetched.path) == sha(original)
