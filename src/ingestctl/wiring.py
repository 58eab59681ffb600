"""Settings to services: opened when first used, closed in reverse order."""

from __future__ import annotations

import errno
import os
import secrets
import socket
from contextlib import contextmanager
from functools import cached_property
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from ingestctl.domain.redact import Redactor
from ingestctl.domain.source import Buckets
from ingestctl.settings import DATABASE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.api.base import PlatformApi
    from ingestctl.db.one_job import JobReader
    from ingestctl.db.store import SqlJobStore
    from ingestctl.domain.escalation import Thresholds
    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import Fetcher
    from ingestctl.media.ffmpeg_tool import FFmpegTool
    from ingestctl.media.tools import Tools
    from ingestctl.notify import Notifier
    from ingestctl.ops.cleanup import Cleaner
    from ingestctl.ops.holding import HoldTerms
    from ingestctl.ops.planning import Planner
    from ingestctl.ops.retry import Retrier
    from ingestctl.ops.submit import Submitter
    from ingestctl.ops.undo import Quarantine
    from ingestctl.ops.verify import Verifier
    from ingestctl.pipeline import Observer, Options, Pipeline
    from ingestctl.settings import Settings
    from ingestctl.storage.base import Storage


class Wiring:
    """The services one process uses. Nothing heavy is imported before the property that needs it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.redact = Redactor(settings.secrets())
        self._closers: list[Callable[[], None]] = []

    def close(self) -> None:
        """Close what was opened, last first."""
        while self._closers:
            self._closers.pop()()

    @property
    def buckets(self) -> Buckets:
        """The bucket names in use."""
        settings = self.settings
        return Buckets(settings.video_bucket, settings.audio_bucket, settings.uploads_bucket)

    @property
    def actor(self) -> str:
        """Who acts, for events and leases: user and host."""
        return f"{_user()}@{socket.gethostname()}"

    @cached_property
    def store(self) -> SqlJobStore:
        """The job store, at this program's schema. The embedded database migrates itself.

        Raises SchemaOutdated for any other that is behind.
        """
        store = self.raw_store
        if self.settings.embedded_database:
            from ingestctl.domain.errors import SchemaOutdated

            try:
                store.check_schema()
            except SchemaOutdated:
                self.migrate()
        else:
            store.check_schema()
        return store

    @cached_property
    def reader(self) -> JobReader:
        """Reads single jobs, at this program's schema, without loading SQLAlchemy. See :attr:`store`."""
        from ingestctl.db.one_job import open_reader
        from ingestctl.domain.errors import SchemaOutdated

        settings = self.settings
        self._make_home()
        reader = open_reader(settings.effective_database_url, timeout_s=settings.database_timeout_s)
        self._closers.append(reader.close)
        try:
            reader.check_schema()
        except SchemaOutdated:
            if not settings.embedded_database:
                raise
            reader.close()
            self.migrate()
        return reader

    @cached_property
    def raw_store(self) -> SqlJobStore:
        """The job store, its schema not yet looked at."""
        from ingestctl.db.engine import open_store

        settings, embedded = self.settings, self.settings.embedded_database
        self._make_home()
        store = open_store(
            settings.effective_database_url, timeout_s=settings.database_timeout_s, create=embedded
        )
        self._closers.append(store.close)
        return store

    def migrate(self) -> Any:
        """Bring the database to this program's schema; see :func:`ingestctl.db.migrate.upgrade`."""
        from ingestctl.db.migrate import upgrade

        self._make_home()
        return upgrade(self.settings.effective_database_url)

    def _make_home(self) -> None:
        """The embedded database's folder. Raises ConfigurationError where it cannot be made."""
        home = self.settings.home_dir
        if self.settings.embedded_database:
            with usable("INGESTCTL_HOME", home):
                home.mkdir(parents=True, exist_ok=True, mode=0o700)
                # A file that is there may be read; a new one needs a folder that can be written.
                wanted = os.X_OK if (home / DATABASE_FILE).exists() else os.X_OK | os.W_OK
                if not os.access(home, wanted):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    @cached_property
    def storage(self) -> Storage:
        """Object storage. Connects when first used."""
        from ingestctl.storage.open import open_storage
        from ingestctl.storage.s3_client import S3Options

        settings = self.settings
        options = S3Options(
            endpoint_url=settings.s3_endpoint,
            region=settings.s3_region,
            access_key=settings.s3_access_key.get_secret_value() if settings.s3_access_key else None,
            secret_key=settings.s3_secret_key.get_secret_value() if settings.s3_secret_key else None,
            read_timeout_s=settings.s3_timeout_s,
            max_attempts=settings.s3_max_attempts,
        )
        storage = open_storage(settings.effective_storage_url, s3=options)
        self._closers.append(storage.close)
        return storage

    def tools(self) -> Tools:
        """Where ffmpeg and ffprobe are. Raises ToolMissing."""
        from ingestctl.media.tools import find_tools

        return find_tools(self.settings.ffmpeg)

    @cached_property
    def media(self) -> FFmpegTool:
        """ffprobe and ffmpeg."""
        from ingestctl.media.ffmpeg_tool import FFmpegTool, MediaLimits

        return FFmpegTool(self.tools, limits=MediaLimits(max_duration_s=self.settings.max_duration_s))

    @cached_property
    def fetcher(self) -> Fetcher:
        """yt-dlp."""
        from ingestctl.media.fetch import FetchLimits, YtDlpFetcher

        settings = self.settings
        if settings.cookies_file:
            with usable("INGESTCTL_COOKIES_FILE", settings.cookies_file), settings.cookies_file.open("rb"):
                pass
        limits = FetchLimits(
            max_bytes=int(settings.max_bytes),
            max_duration_s=settings.max_duration_s,
            deadline_s=settings.download_timeout_s,
            socket_timeout_s=settings.socket_timeout_s,
            retries=settings.retry_attempts,
            spare_bytes=int(settings.min_free_bytes),
        )
        return YtDlpFetcher(
            self.tools,
            limits=limits,
            allow_networks=[ip_network(n, strict=False) for n in settings.source_allow_networks],
            cookies_file=settings.cookies_file,
            accept_audio_only=settings.accept_audio_only,
            proxy=settings.proxy.get_secret_value() if settings.proxy else "",
        )

    @property
    def options(self) -> Options:
        """How runs are made."""
        from ingestctl.pipeline import Options

        settings = self.settings
        return Options(
            scratch_root=settings.scratch_root,
            owner=f"{self.actor}:{os.getpid()}:{secrets.token_hex(4)}",
            provider=self.storage.provider,
            buckets=self.buckets,
            lease_s=settings.lease_s,
            heartbeat_s=settings.effective_heartbeat_s,
            stale_after_s=settings.stale_run_s,
            max_run_s=settings.max_run_s,
            max_attempts=settings.max_attempts,
            retry_attempts=settings.retry_attempts,
            retry_base_s=settings.retry_base_s,
            retry_max_s=settings.retry_max_s,
            min_free_bytes=int(settings.min_free_bytes),
            accept_audio_only=settings.accept_audio_only,
            hand_off=settings.hand_off,
        )

    def pipeline(self, observer: Observer) -> Pipeline:
        """The pipeline over all of the above."""
        from ingestctl.pipeline import Pipeline
        from ingestctl.pipeline.services import Services

        return Pipeline(
            Services(self.store, self.storage, self.fetcher, self.media, self.options, observer, self.redact)
        )

    def verifier(self, stop: Stop) -> Verifier:
        """Checks stored artifacts."""
        from ingestctl.ops.verify import Verifier

        root = self.settings.scratch_root
        return Verifier(self.store, self.storage, self.media, self.buckets, root, stop)

    def retrier(self, stop: Stop, *, through_api: bool = False) -> Retrier:
        """Puts jobs back in the queue, or hands them to the platform's API."""
        from ingestctl.media.reach import reach
        from ingestctl.ops.preflight import Preflight, Terms
        from ingestctl.ops.retry import Retrier

        settings = self.settings
        networks = [ip_network(n, strict=False) for n in settings.source_allow_networks]
        terms = Terms(
            buckets=self.buckets,
            max_attempts=settings.max_attempts,
            cool_down_s=settings.cool_down_s,
            scratch_root=settings.scratch_root,
            min_free_bytes=int(settings.min_free_bytes),
        )
        preflight = Preflight(
            self.store,
            self.storage,
            # Through a proxy only the fetcher knows what can be reached.
            None if settings.proxy else lambda url: reach(url, networks, timeout_s=settings.socket_timeout_s),
            self.verifier(stop).verify,
            terms,
        )
        return Retrier(self.store, preflight, actor=self.actor, api=self.api if through_api else None)

    @cached_property
    def api(self) -> PlatformApi:
        """The platform's HTTP API."""
        from ingestctl.api.client import HttpPlatformApi
        from ingestctl.domain.errors import ConfigurationError

        settings = self.settings
        if not settings.api_url:
            raise ConfigurationError(
                "INGESTCTL_API_URL is not set", hint="Set it to the address of the platform's API."
            )
        key = settings.api_key.get_secret_value() if settings.api_key else None
        client = HttpPlatformApi(settings.api_url, key=key, timeout_s=settings.api_timeout_s)
        self._closers.append(client.close)
        return client

    def notifier(self) -> Notifier:
        """Tells people. Raises ConfigurationError where nobody is named."""
        from ingestctl.notify import Notifier

        urls = self.settings.notify_urls
        return Notifier(urls.get_secret_value().split() if urls else [])

    @property
    def thresholds(self) -> Thresholds:
        """From which numbers on the escalation rules fire."""
        from ingestctl.domain.escalation import Thresholds

        settings = self.settings
        return Thresholds(
            source_jobs=settings.escalate_source_jobs,
            source_share=settings.escalate_source_share,
            storage_jobs=settings.escalate_storage_jobs,
            storage_share=settings.escalate_storage_share,
            crashes=settings.escalate_crashes,
            corrupt=settings.escalate_corrupt,
            corrupt_share=settings.escalate_corrupt_share,
        )

    @property
    def hold_terms(self) -> HoldTerms:
        """Who holds a video while it is cleaned up, and for how long at a time."""
        from ingestctl.ops.holding import HoldTerms

        owner = f"{self.actor}:{os.getpid()}:{secrets.token_hex(4)}"
        return HoldTerms(owner, self.actor, self.settings.lease_s, self.settings.effective_heartbeat_s)

    def planner(self, stop: Stop) -> Planner:
        """Makes cleanup plans."""
        from ingestctl.ops.planning import Planner

        return Planner(self.store, self.storage, self.verifier(stop), self.buckets)

    def cleaner(self, planner: Planner, stop: Stop) -> Cleaner:
        """Applies cleanup plans."""
        from ingestctl.ops.cleanup import Cleaner

        return Cleaner(self.store, self.storage, planner, self.hold_terms, stop)

    def quarantine(self, stop: Stop) -> Quarantine:
        """Puts objects back from quarantine, and empties it."""
        from ingestctl.ops.undo import Quarantine

        return Quarantine(self.store, self.storage, self.hold_terms, stop)

    def submitter(self) -> Submitter:
        """Creates jobs."""
        from ingestctl.ops.submit import Submitter

        return Submitter(self.store, self.storage, self.buckets, self.actor)


@contextmanager
def usable(setting: str, path: object) -> Iterator[None]:
    """Turn an OSError met at the file or folder that ``setting`` names into ConfigurationError."""
    from ingestctl.domain.errors import ConfigurationError

    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        hint = f"Set {setting} to a place that this user may use, or correct its permissions."
        raise ConfigurationError(f"{setting}: {path} cannot be used: {reason}", hint=hint) from error


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container with a user id that has no name
        return f"uid-{os.getuid()}"
