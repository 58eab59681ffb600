"""yt-dlp, held to our rules: what it may open, what it may start, what it may write.

Built on yt-dlp 2026.10.26 (pinned). ``process_info`` is where each download begins and
``process_ie_result`` where each result is resolved: both are overridden to look before it leaps.
"""

from __future__ import annotations

import re
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import yt_dlp
import yt_dlp.utils
from yt_dlp.extractor.generic import GenericIE
from yt_dlp.networking.exceptions import HTTPError

from ingestctl.domain.errors import SourceFailed, SourceRefused
from ingestctl.media.probe import FORMATS
from ingestctl.media.process import adopt_popen

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

# yt-dlp starts ffmpeg (merging, fixups) and the JavaScript runtime through this class.
adopt_popen(yt_dlp.utils.Popen)

BEST = "bv*+ba/b"
MAX_PAGE = 32 << 20
"""The longest page, manifest or key, in bytes as unpacked: they are held in memory."""
_PIECE = 1 << 16
_MEDIA_PATH = re.compile(
    r"\.(?:mp4|m4v|mov|webm|mkv|avi|flv|wmv|asf|ts|m2ts|mpg|mpeg|3gp|ogv|ogg|mp3|m4a|wav|flac|aac|m3u8|mpd)$",
    re.IGNORECASE,
)
NATIVE = frozenset({"http", "https", "m3u8_native", "http_dash_segments", "http_dash_segments_generator"})
"""The protocols that yt-dlp downloads itself, through sockets that the guard sees."""
_NETWORKED = re.compile(
    r"^(?:https?|rtmp\w*|rtsp\w*|mms\w*|ftps?|tcp|udp|tls|srt|hls\+?\w*|concat|subfile|data):", re.IGNORECASE
)


class Log:
    """Takes yt-dlp's words and keeps the last ones."""

    def __init__(self) -> None:
        self.tail: deque[str] = deque(maxlen=50)

    def debug(self, message: str) -> None:
        """Progress and debugging: not kept."""

    def warning(self, message: str, **_: object) -> None:
        """Keep a warning."""
        self.tail.append(str(message)[:1000])

    def error(self, message: str) -> None:
        """Keep an error."""
        self.tail.append(str(message)[:1000])


class GuardedYoutubeDL(yt_dlp.YoutubeDL):  # type: ignore[misc]
    """A YoutubeDL that fetches one video with native downloaders and allowed request handlers only."""

    def __init__(
        self,
        params: Mapping[str, Any],
        *,
        folder: Path,
        handlers: frozenset[str],
        generic_only: bool,
        accept: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._folder = folder.absolute()
        self._allowed_handlers = handlers
        self._accept = accept
        self.last_status: int | None = None
        self.retry_after: float | None = None
        super().__init__(dict(params), auto_init=False)
        if generic_only:
            self.add_info_extractor(GenericIE())  # an instance: by class, yt-dlp would load all extractors
        else:
            self.add_default_info_extractors()

    def build_request_director(self, handlers: Any, preferences: Any = None) -> Any:
        """Keep only the handlers whose connections the guard can see (curl_cffi connects in C)."""
        allowed = [h for h in handlers if h.RH_KEY in self._allowed_handlers]
        return super().build_request_director(allowed, preferences)

    def get_output_path(self, dir_type: str = "", filename: str | None = None) -> str:  # noqa: ARG002
        """Where files go: below the folder, whose own name is not read as a template (yt-dlp would)."""
        return str(self._folder / (filename or ""))

    def urlopen(self, req: Any) -> Any:
        """Remember the last HTTP error, because during a download only its text survives; bound pages."""
        try:
            response = super().urlopen(req)
        except HTTPError as error:
            self.last_status = error.status
            self.retry_after = _seconds(error.response.headers.get("Retry-After"))
            raise
        response.read = partial(_read_bounded, response.read)
        return response

    def process_ie_result(self, ie_result: Any, download: bool = True, extra_info: Any = None) -> Any:
        """Refuse playlists before any of their entries is looked at."""
        if ie_result.get("_type") in ("playlist", "multi_video", "compat_list"):
            raise SourceFailed(
                "The source is a playlist, not one video",
                cause="invalid_source",
                retryable="no",
                hint="Submit the videos of the playlist one by one.",
                evidence=f"{ie_result.get('extractor_key')}: {str(ie_result.get('id'))[:80]} is a playlist",
            )
        return super().process_ie_result(ie_result, download, extra_info)

    def process_info(self, info_dict: Any) -> None:
        """Look at what is about to be downloaded."""
        for part in info_dict.get("requested_formats") or (info_dict,):
            _check_native(info_dict, part)
        self._accept(info_dict)
        super().process_info(info_dict)


def _read_bounded(read: Callable[[int], bytes], amt: int | None = None) -> bytes:
    """What a response's ``read`` gives; the whole of it only up to the length of a page."""
    if amt is not None and amt >= 0:
        return read(amt)
    page = bytearray()
    while piece := read(_PIECE):
        page += piece
        if len(page) > MAX_PAGE:
            raise SourceRefused(f"The source answers with a page of more than {MAX_PAGE} bytes")
    return bytes(page)


def _check_native(info: Mapping[str, Any], part: Mapping[str, Any]) -> None:
    if info.get("is_live") or part.get("is_live") or info.get("live_status") in ("is_live", "is_upcoming"):
        raise SourceFailed(
            "The source is a live stream that has not ended",
            cause="invalid_source",
            retryable="after-fix",
            hint="Submit it again when the stream has ended.",
            evidence=f"live_status={info.get('live_status')}",
        )
    for protocol in str(yt_dlp.utils.determine_protocol(dict(part))).split("+"):
        if protocol not in NATIVE:
            raise SourceFailed(
                f"The source is only offered over {protocol[:30]!r}, which is not fetched",
                cause="invalid_source",
                retryable="no",
                evidence=f"protocol={protocol[:30]}",
            )


def _seconds(value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        when = yt_dlp.utils.timeconvert(value)
        now = yt_dlp.utils.datetime_from_str("now").timestamp()
        return None if when is None else max(0.0, float(when) - now)


def is_direct(url: str) -> bool:
    """Whether the URL's path names a media file or manifest: then the generic extractor alone will do
    (180 ms of set-up instead of 600 ms). Pages get yt-dlp's full set."""
    return bool(_MEDIA_PATH.search(urlsplit(url).path))


def harden(argv: list[str]) -> list[str]:
    """Hold a child that yt-dlp starts to local files: ffmpeg never opens the network, nor a playlist
    that pretends to be a video. Raises SourceRefused for one that would."""
    if any(_NETWORKED.match(arg) for arg in argv[1:]):
        raise SourceRefused("The source needs ffmpeg to open the network, which is not allowed")
    options = ["-protocol_whitelist", "file", "-format_whitelist", FORMATS]
    program = argv[0].rsplit("/", 1)[-1]
    if program == "ffprobe" and any(arg.startswith("file:") for arg in argv):
        return [argv[0], *options, *argv[1:]]
    if program != "ffmpeg":
        return argv
    return [piece for arg in argv for piece in ((*options, arg) if arg == "-i" else (arg,))]


def handlers_for(kind_is_youtube: bool) -> frozenset[str]:
    """The request handlers to keep: those whose sockets are Python's, and curl_cffi for YouTube alone."""
    return frozenset({"Requests", "Websockets"} | ({"CurlCFFI"} if kind_is_youtube else set()))


def extractors_for(kind_is_youtube: bool) -> Sequence[str]:
    """Which extractors may run."""
    return ["youtube.*"] if kind_is_youtube else ["default"]
