"""Fetching youtube and external_url sources with yt-dlp's Python API.

The download runs in a thread of its own, so that :meth:`YtDlpFetcher.fetch` returns within about
a second of a stop or a deadline even while a read blocks: its connections are shut down, its
children killed, and whatever it would do next is refused by the guard and the hook.
"""

from __future__ import annotations

import shutil
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import (
    ConfigurationError,
    DeadlineExceeded,
    IngestError,
    NotMedia,
    NoVideoStream,
    ScratchFull,
    SourceFailed,
    SourceRefused,
)
from ingestctl.domain.source import SourceKind
from ingestctl.media.base import TOO_LONG, Fetched
from ingestctl.media.process import Children, Limits
from ingestctl.media.sniff import HEAD_BYTES, not_media
from ingestctl.media.tools import plain_names
from ingestctl.media.url_guard import Guard, check_url, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ingestctl.domain.source import Source
    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import DownloadListener
    from ingestctl.media.tools import Tools
    from ingestctl.media.url_guard import Network

_POLL_S = 0.05
_GRACE_S = 0.7
"""How long a stopped download is given to notice before it is left behind."""
_SPACE_EVERY = 64 << 20
_MAX_FRAGMENT = 512 << 20


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """Sizes in bytes, times in seconds."""

    max_bytes: int = 50 << 30
    max_duration_s: float = 12 * 3600
    deadline_s: float = 6 * 3600
    socket_timeout_s: float = 30
    retries: int = 5
    spare_bytes: int = 256 << 20
    """Scratch space that is left free for the audio and for others."""
    child_memory: int = 4 << 30


class YtDlpFetcher:
    """The Fetcher of :mod:`ingestctl.media.base`, by yt-dlp.

    ``tools`` finds ffmpeg when first needed; ``allow_networks`` are networks a source may be in
    besides public addresses; ``proxy`` is used for every request if given (the environment's
    proxies never are: they would hide the address that is connected to).
    """

    def __init__(
        self,
        tools: Callable[[], Tools],
        *,
        limits: FetchLimits | None = None,
        allow_networks: Sequence[Network] = (),
        cookies_file: Path | None = None,
        accept_audio_only: bool = False,
        format_selector: str | None = None,
        proxy: str = "",
    ) -> None:
        self._tools = tools
        self._limits = limits or FetchLimits()
        self._networks = tuple(allow_networks)
        self._cookies_file = cookies_file
        self._accept_audio_only = accept_audio_only
        self._format = format_selector
        self._proxy = proxy

    def fetch(self, source: Source, into: Path, listener: DownloadListener, stop: Stop) -> Fetched:
        """See :class:`ingestctl.media.base.Fetcher`. The file is in a folder of its own below ``into``."""
        stop.check()
        check_url(source.uri, self._networks)
        folder = into / "download"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        download = _Download(source, folder, self._params(into), self._limits, listener, stop)
        download.accept_audio_only = self._accept_audio_only
        guard = guarded(self._networks)
        from ingestctl.media.ytdlp import harden

        children = Children(into, rewrite=harden, limits=self._child_limits)
        return _supervise(download, guard, children, self._limits.deadline_s, stop)

    def _child_limits(self, program: str) -> Limits:
        # A JavaScript runtime reserves far more address space than it uses: only ffmpeg is held to a limit.
        return Limits(memory=self._limits.child_memory if program in ("ffmpeg", "ffprobe") else None)

    def _params(self, into: Path) -> dict[str, Any]:
        from ingestctl.media.ytdlp import BEST

        limits = self._limits
        params: dict[str, Any] = {
            "format": self._format or (f"{BEST}/ba" if self._accept_audio_only else BEST),
            "outtmpl": {"default": "source.%(ext)s"},
            "merge_output_format": "mp4/mkv",
            "ffmpeg_location": str(plain_names(self._tools(), into / "bin")),
            "skip_unavailable_fragments": False,
            "retries": limits.retries,
            "fragment_retries": limits.retries,
            "extractor_retries": 1,
            "file_access_retries": 1,
            "retry_sleep_functions": dict.fromkeys(("http", "fragment", "extractor"), _backoff),
            "socket_timeout": limits.socket_timeout_s,
            "continuedl": True,
            "concurrent_fragment_downloads": 1,
            "updatetime": False,
            "noplaylist": True,
            "overwrites": True,
            "hls_prefer_native": True,
            "external_downloader": "native",
            "cachedir": False,
            "proxy": self._proxy,
            "quiet": True,
            "no_warnings": False,
            "noprogress": True,
            "color": "never",
            "check_formats": False,
            "allow_unplayable_formats": False,
        }
        if self._cookies_file is not None:
            # yt-dlp writes its cookie jar back when it closes: give it a copy.
            try:
                params["cookiefile"] = str(shutil.copy(self._cookies_file, into / "cookies.txt"))
            except OSError as error:
                words = f"INGESTCTL_COOKIES_FILE: {self._cookies_file} cannot be used: {error.strerror}"
                raise ConfigurationError(words, evidence=str(error)) from error
        return params


def _backoff(n: int) -> float:
    return float(min(0.25 * 2**n, 10))


class _Download:
    """One download: runs in its own thread, and is told about by its hook."""

    accept_audio_only = False

    def __init__(
        self,
        source: Source,
        folder: Path,
        params: dict[str, Any],
        limits: FetchLimits,
        listener: DownloadListener,
        stop: Stop,
    ) -> None:
        self._source = source
        self._folder = folder
        self._params = params
        self._limits = limits
        self._listener = listener
        self._stop = stop
        self._sizes: dict[str, int] = {}
        self._totals: dict[str, int] = {}
        self._next_space_check = 0
        self._fragment: int | None = None
        self._fragment_begin = self._fragment_end = 0
        self._progressive = False
        self.abandoned: IngestError | None = None
        self.raised: BaseException | None = None
        self.result: Fetched | None = None

    def run(self) -> Fetched:
        """Download and verify. Raises ours only."""
        from ingestctl.media.failures import explain
        from ingestctl.media.source_info import source_info
        from ingestctl.media.ytdlp import GuardedYoutubeDL, Log, extractors_for, handlers_for, is_direct

        log = Log()
        youtube = self._source.kind is SourceKind.YOUTUBE
        params = {**self._params, "logger": log, "progress_hooks": [self._hook]}
        params["allowed_extractors"] = extractors_for(youtube)
        generic_only = not youtube and is_direct(self._source.uri)
        with GuardedYoutubeDL(
            params,
            folder=self._folder,
            handlers=handlers_for(youtube),
            generic_only=generic_only,
            accept=self._accept,
        ) as ydl:
            try:
                info = ydl.extract_info(self._source.uri, download=True)
            except Exception as error:
                if self.raised is not None:
                    raise self.raised from error
                raise explain(
                    error,
                    log.tail,
                    status=ydl.last_status,
                    retry_after=ydl.retry_after,
                    proxied=bool(self._params["proxy"]),
                ) from error
        path = self._verified(info, log.tail)
        return Fetched(path, source_info(info))

    def _accept(self, info: Mapping[str, Any]) -> None:
        """Refuse what is out of bounds before its first byte."""
        parts = info.get("requested_formats") or [info]
        length = info.get("duration")
        if isinstance(length, (int, float)) and length > self._limits.max_duration_s:
            most = self._limits.max_duration_s
            words = f"The source is {length:.0f} s long; at most {most:.0f} s are ingested"
            raise SourceRefused(words, hint=TOO_LONG)
        sizes = [p.get("filesize") for p in parts]
        if all(isinstance(size, int) for size in sizes):
            self._check_size(sum(size for size in sizes if size), 0)
        has_video = any(p.get("vcodec") != "none" for p in parts)
        if not has_video and not self.accept_audio_only:
            raise NoVideoStream("The source offers audio but no video")
        self._progressive = (
            len(parts) == 1
            and parts[0].get("protocol") in ("http", "https")
            and info.get("stretched_ratio") in (None, 1)
            and info.get("container") != "m4a_dash"
        )

    def _hook(self, status: dict[str, Any]) -> None:
        """yt-dlp's progress hook. What is raised here ends the download."""
        try:
            self._progress(status)
        except BaseException as error:
            self.raised = self.raised or error
            raise

    def _progress(self, status: Mapping[str, Any]) -> None:
        self._stop.check()
        if self.abandoned is not None:
            raise self.abandoned
        name = str(status.get("filename"))
        got, total = status.get("downloaded_bytes"), status.get("total_bytes")
        if got is None:
            return
        self._same_file(name, int(got), total)
        self._sizes[name] = int(got)
        everything = sum(self._sizes.values())
        # More may come than was announced: a body that is unpacked, or one without end.
        announced = total if total and len(self._sizes) == 1 else 0
        self._check_size(max(announced, everything), everything)
        self._check_fragment(status.get("fragment_index"), int(got))
        part = self._folder / str(status.get("tmpfilename") or name)
        if self._progressive and status.get("status") == "downloading" and part.exists():
            # yt-dlp counts bytes that may still be in its buffer: report those that can be read.
            self._listener.growing(part, min(int(got), part.stat().st_size), total)
        else:
            self._listener.progress(everything, total if len(self._sizes) == 1 else None)

    def _check_fragment(self, index: int | None, got: int) -> None:
        """yt-dlp holds each fragment in memory before it joins them."""
        if index is None:
            return
        if index != self._fragment:
            self._fragment, self._fragment_begin = index, self._fragment_end
        self._fragment_end = got
        if got - self._fragment_begin > _MAX_FRAGMENT:
            raise SourceRefused(f"A segment of the source has more than {_MAX_FRAGMENT} bytes")

    def _same_file(self, name: str, got: int, total: int | None) -> None:
        """A resumed download whose total changed would join two different files."""
        before = self._totals.get(name)
        if total is None:
            return
        if before not in (None, total) and got > self._sizes.get(name, 0) and self._progressive:
            raise SourceFailed(
                "The source changed while it was downloaded",
                cause="download_timeout",
                retryable="yes",
                evidence=f"{before} bytes were announced first, then {total}",
            )
        self._totals[name] = total

    def _check_size(self, size: int, got: int) -> None:
        if size > self._limits.max_bytes:
            raise SourceRefused(
                f"The source has at least {size} bytes; at most {self._limits.max_bytes} are ingested",
                hint="If it is wanted all the same, raise INGESTCTL_MAX_BYTES.",
            )
        if got >= self._next_space_check:
            self._next_space_check = got + _SPACE_EVERY
            free = shutil.disk_usage(self._folder).free
            if free < max(0, size - got) + self._limits.spare_bytes:
                raise ScratchFull(
                    f"The download needs {size - got} bytes more and {free} are free in {self._folder}"
                )

    def _verified(self, info: Mapping[str, Any] | None, said: Sequence[str]) -> Path:
        """yt-dlp calls many failures a success: look at what is there."""
        files = [p for p in self._folder.iterdir() if p.is_file()]
        if info is None or len(files) != 1 or files[0].name.endswith((".part", ".ytdl")):
            evidence = said[-1] if said else f"files: {sorted(p.name for p in files)[:5]}"
            raise SourceFailed(
                "The download ended without a complete file",
                cause="download_timeout",
                retryable="yes",
                evidence=evidence,
            )
        path = files[0]
        size, announced = path.stat().st_size, self._totals.get(str(path))
        if size and self._progressive and announced is not None and size != announced:
            raise SourceFailed(
                f"The download is cut short: {size} bytes came of {announced} announced",
                cause="download_timeout",
                retryable="yes",
                evidence=f"{size} of {announced} bytes",
            )
        with path.open("rb") as file:
            what = not_media(file.read(HEAD_BYTES))
        if what is not None:
            raise NotMedia(f"The source gave {what} instead of a video", evidence=what)
        return path


def _supervise(
    download: _Download, guard: Guard, children: Children, deadline_s: float, stop: Stop
) -> Fetched:
    """Run ``download`` in a thread until it ends, a stop is asked for, or the deadline passes."""
    outcome: list[Fetched | BaseException] = []
    wake = threading.Event()

    def work() -> None:
        try:
            with guard, children:
                outcome.append(download.run())
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread
            outcome.append(error)
        finally:
            wake.set()

    thread = threading.Thread(target=work, name="fetch", daemon=True)
    started = time.monotonic()
    thread.start()
    # Polled: setting an Event from a signal handler can deadlock with the thread that waits for it.
    while not wake.wait(_POLL_S) and stop.error is None and time.monotonic() - started < deadline_s:
        pass
    if not outcome:
        stopped = stop.error or DeadlineExceeded(
            f"The download was stopped after {time.monotonic() - started:.0f} s, its deadline"
        )
        download.abandoned = stopped
        guard.abort(stopped)
        children.kill()
        thread.join(_GRACE_S)
        children.wait(_GRACE_S)
        raise stopped
    thread.join(_GRACE_S)
    (result,) = outcome
    if isinstance(result, Fetched):
        return result
    stop.check()
    raise (guard.refusal or result) from result.__cause__
