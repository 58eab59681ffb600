from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from yt_dlp.cookies import CookieLoadError
from yt_dlp.networking.exceptions import ProxyError, TransportError
from yt_dlp.socks import Socks5Error
from yt_dlp.utils import DownloadError, GeoRestrictedError

from ingestctl.domain.causes import diagnose
from ingestctl.domain.errors import IngestError, Interrupted, ScratchFull
from ingestctl.media.failures import explain
from ingestctl.media.source_info import source_info
from ingestctl.media.ytdlp import GuardedYoutubeDL, extractors_for, handlers_for, harden, is_direct

WORDS = [
    (
        "[download] Got error: HTTP Error 503: Service Unavailable. Giving up after 1 retries",
        "download_timeout",
    ),
    ("[download] Got error: HTTP Error 403: Forbidden. Giving up after 1 retries", "download_blocked"),
    (
        "[download] Got error: 60000 bytes read, 149010 more expected. Giving up after 1 retries",
        "download_timeout",
    ),
    (
        "[download] Got error: HTTPConnectionPool(host='x', port=1): Read timed out.. Giving up",
        "download_timeout",
    ),
    ("Unsupported URL: http://example.com/", "invalid_source"),
    ("[generic] 'x' is not a valid URL", "invalid_source"),
    ("No suitable extractor found for URL http://example.com/", "invalid_source"),
    ("[youtube] abc: Sign in to confirm you’re not a bot.", "download_blocked"),
    ("[youtube] abc: Private video. Sign in if you've been granted access", "invalid_source"),
]


@pytest.mark.parametrize(("text", "cause"), WORDS)
def test_where_only_words_are_left_they_decide(text: str, cause: str) -> None:
    assert explain(DownloadError(f"ERROR: {text}"), []).cause == cause


def test_a_full_disk_is_told() -> None:
    error = DownloadError("ERROR: unable to write data: [Errno 28] No space left on device")
    assert isinstance(explain(error, []), ScratchFull)


def test_a_name_that_does_not_resolve() -> None:
    inner = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    error = DownloadError("ERROR: Failed to resolve", (type(inner), inner, None))
    # As `explain` says of the same words: a resolver can be wrong about a name.
    assert (explain(error, []).cause, explain(error, []).retryable) == ("download_timeout", "yes")
    assert diagnose("[Errno -2] Name or service not known").cause == "download_timeout"
    later = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    error = DownloadError("ERROR: Failed to resolve", (type(later), later, None))
    assert (explain(error, []).cause, explain(error, []).retryable) == ("download_timeout", "yes")


def _proxied(inner: BaseException) -> IngestError:
    return explain(DownloadError("ERROR: no", (type(inner), inner, None)), [], proxied=True)


@pytest.mark.parametrize(
    ("inner", "cause"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "configuration"),
        (ProxyError("Cannot connect to proxy"), "configuration"),
        (
            ProxyError(cause=OSError("Tunnel connection failed: 407 Proxy Authentication Required")),
            "configuration",
        ),
        (Socks5Error(0xFE), "configuration"),
        (ProxyError(cause=OSError("Tunnel connection failed: 503 Service Unavailable")), "download_timeout"),
        (ProxyError(cause=Socks5Error(4)), "download_timeout"),
        (TransportError(cause=ConnectionResetError("reset")), "download_timeout"),
    ],
)
def test_a_proxy_that_does_not_work_is_no_fault_of_the_source(inner: BaseException, cause: str) -> None:
    found = _proxied(inner)
    assert found.cause == cause, found.message
    assert ("INGESTCTL_PROXY" in found.message) == (found.exit == 13) == (cause == "configuration")


def test_cookies_that_cannot_be_read_are_ours() -> None:
    inner = CookieLoadError("failed to load cookies")
    assert explain(DownloadError("ERROR: x", (type(inner), inner, None)), []).cause == "configuration"


def test_geo_restriction_is_blocked() -> None:
    inner = GeoRestrictedError("not available in your country")
    error = DownloadError("ERROR: not here", (type(inner), inner, None))
    assert (explain(error, []).cause, explain(error, []).retryable) == ("download_blocked", "after-fix")


def test_our_own_errors_come_through_wrapping() -> None:
    ours = Interrupted("SIGTERM")
    assert explain(DownloadError("ERROR: wrapped", (type(ours), ours, None)), []) is ours


def test_queries_are_kept_out_of_the_evidence() -> None:
    found = explain(DownloadError("ERROR: Unsupported URL: https://example.com/a?token=s3cret"), [])
    assert "s3cret" not in f"{found.message} {found.evidence}"


@pytest.mark.parametrize(
    "argument",
    ["http://127.0.0.1/x.m3u8", "https://x/y", "rtmp://x/y", "hls+http://x", "concat:a|b", "tcp://x:1"],
)
def test_a_child_that_would_open_the_network_is_refused(argument: str) -> None:
    with pytest.raises(Exception, match="not allowed"):
        harden(["/bin/ffmpeg", "-y", "-i", argument, "file:out.mp4"])


def test_every_input_of_ffmpeg_is_held_to_real_containers() -> None:
    argv = harden(["/bin/ffmpeg", "-i", "file:a", "-i", "file:b", "-c", "copy", "file:c"])
    assert argv.count("-protocol_whitelist") == argv.count("-format_whitelist") == argv.count("-i") == 2
    assert harden(["/bin/ffprobe", "-show_streams", "file:a"])[1] == "-protocol_whitelist"
    assert harden(["/bin/ffmpeg", "-bsfs"]) == ["/bin/ffmpeg", "-bsfs"]


def _ydl(youtube: bool) -> GuardedYoutubeDL:
    return GuardedYoutubeDL(
        {"quiet": True, "allowed_extractors": extractors_for(youtube)},
        folder=Path(),
        handlers=handlers_for(youtube),
        generic_only=True,
        accept=lambda info: None,
    )


def test_only_handlers_with_sockets_the_guard_sees() -> None:
    with _ydl(youtube=False) as ydl:
        assert set(ydl._request_director.handlers) <= {"Requests", "Websockets"}
        assert "Requests" in ydl._request_director.handlers


def test_playlists_are_refused_before_their_entries_are_looked_at() -> None:
    looked_at: list[int] = []

    def entries() -> object:
        looked_at.append(1)
        yield {"id": "1"}

    with _ydl(youtube=False) as ydl, pytest.raises(Exception, match="playlist"):
        ydl.process_ie_result({"_type": "playlist", "id": "p", "entries": entries()})
    assert not looked_at


def test_direct_links_are_told_by_their_path() -> None:
    assert is_direct("https://example.com/a/V.MP4?x=1")
    assert is_direct("https://example.com/live/index.m3u8")
    assert not is_direct("https://vimeo.com/12345")
    assert not is_direct("https://example.com/watch?v=a.mp4")


def test_what_a_source_says_is_bounded_and_safe_to_store() -> None:
    info = source_info(
        {
            "title": "x" * 9000 + "\0",
            "uploader": "\ud800me",
            "duration": float("inf"),
            "timestamp": 1e99,
            "upload_date": "20240229",
            "webpage_url": "https://user:pw@example.com/v?sig=s3cret",
            "categories": ["a", 3],
            "formats": [{}] * 1000,
        }
    )
    assert len(info.title or "") == 500
    assert info.channel == "?me"
    assert info.duration_s is None
    assert "s3cret" not in str(info.extras)
    assert "pw" not in str(info.extras)
    assert "formats" not in info.extras
    assert source_info({"upload_date": "20240229"}).published_at is not None


def test_yt_dlp_is_imported_only_when_something_is_fetched() -> None:
    code = "import sys, ingestctl.media.fetch; sys.exit('yt_dlp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
