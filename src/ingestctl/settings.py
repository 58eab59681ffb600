"""Every setting: its environment names, its default, its meaning and its limits.

Names the platform's services already use are taken as they are; our own begin with ``INGESTCTL_``.
How they are read is in :mod:`ingestctl.config`.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import (
    AliasChoices,
    ByteSize,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ingestctl import setting_checks

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

GIB = 2**30
DATABASE_FILE = "ingestctl.db"
"""The embedded database, in the home folder."""
_CHECKS = {
    "api_url": setting_checks.http_url,
    "s3_endpoint": setting_checks.http_url,
    "proxy": setting_checks.proxy_url,
    "database_url": setting_checks.database_url,
    "storage_url": setting_checks.storage_url,
    "video_bucket": setting_checks.bucket_name,
    "audio_bucket": setting_checks.bucket_name,
    "uploads_bucket": setting_checks.bucket_name,
}
Seconds = Annotated[float, Field(gt=0, le=30 * 24 * 3600)]


def _setting(default: Any, *names: str, about: str, **limits: Any) -> Any:
    """One setting: its default, its environment names (the first is the documented one), its meaning."""
    return Field(default, validation_alias=AliasChoices(*names), description=about, **limits)


class Settings(BaseSettings):
    """Every setting. docs/reference/settings.md and .env.example are generated from this."""

    # `S3_ENDPOINT=` in an env file or a compose file means "not set".
    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    home: Path | None = _setting(
        None, "INGESTCTL_HOME", about="Where everything lies by default: $XDG_DATA_HOME/ingestctl."
    )
    env: Literal["local", "staging", "production"] = _setting(
        "local", "ENV", "INGESTCTL_ENV", about="Where this is. In production, changes need a reason."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = _setting(
        "INFO", "LOG_LEVEL", "INGESTCTL_LOG_LEVEL", about="The least important lines that are logged."
    )
    log_dir: Path | None = _setting(
        None, "INGESTCTL_LOG_DIR", about="A folder for log files too; `ingestctl logs JOB` searches it."
    )

    database_url: SecretStr | None = _setting(
        None,
        "DATABASE_URL",
        "INGESTCTL_DATABASE_URL",
        about="postgresql://user:password@host/name or sqlite:///file. Default: SQLite in the home folder.",
    )
    database_timeout_s: Seconds = _setting(
        10.0, "INGESTCTL_DATABASE_TIMEOUT_SECONDS", about="How long one database call may take."
    )

    storage_url: str | None = _setting(
        None,
        "INGESTCTL_STORAGE_URL",
        about="file:///folder or s3://. Default: s3:// if an S3 setting names one, else a folder in home.",
    )
    s3_endpoint: str | None = _setting(
        None, "S3_ENDPOINT", "INGESTCTL_S3_ENDPOINT", about="URL of an S3-compatible server; empty for AWS."
    )
    s3_access_key: SecretStr | None = _setting(
        None,
        "S3_ACCESS_KEY",
        "INGESTCTL_S3_ACCESS_KEY",
        about="Empty: the AWS default chain (profile, role) is asked.",
    )
    s3_secret_key: SecretStr | None = _setting(
        None, "S3_SECRET_KEY", "INGESTCTL_S3_SECRET_KEY", about="Goes with S3_ACCESS_KEY."
    )
    s3_region: str | None = _setting(
        None,
        "S3_REGION",
        "INGESTCTL_S3_REGION",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        about="Default: the AWS profile's region, else us-east-1.",
    )
    s3_timeout_s: Seconds = _setting(
        30.0,
        "INGESTCTL_S3_TIMEOUT_SECONDS",
        about="How long storage may keep silent before a request is tried again.",
    )
    s3_max_attempts: int = _setting(
        4, "INGESTCTL_S3_MAX_ATTEMPTS", about="Tries of one storage request.", ge=1, le=20
    )
    video_bucket: str = _setting(
        "raw-videos",
        "S3_BUCKET_VIDEO",
        "INGESTCTL_VIDEO_BUCKET",
        about="Originals of jobs that name no bucket.",
    )
    audio_bucket: str = _setting(
        "audio-tracks",
        "S3_BUCKET_AUDIO",
        "INGESTCTL_AUDIO_BUCKET",
        about="Audio of jobs that name no bucket.",
    )
    uploads_bucket: str = _setting(
        "uploads",
        "S3_BUCKET_UPLOADS",
        "UPLOADS_BUCKET",
        "INGESTCTL_UPLOADS_BUCKET",
        about="Where uploads arrive.",
    )

    lease_s: Seconds = _setting(
        60.0,
        "INGESTCTL_LEASE_SECONDS",
        about="How long a silent worker keeps its job before another may take it.",
    )
    heartbeat_s: Seconds | None = _setting(
        None,
        "INGESTCTL_HEARTBEAT_SECONDS",
        about="How often a worker renews its lease. Default: 10 s, or a sixth of a short lease.",
    )
    stale_run_s: Seconds = _setting(
        3600.0,
        "INGESTCTL_STALE_RUN_SECONDS",
        about="Silence after which a running attempt without a lease is dead.",
    )
    max_run_s: Seconds = _setting(
        6 * 3600.0, "INGESTCTL_MAX_RUN_SECONDS", about="How long one attempt may take."
    )
    max_attempts: int = _setting(
        5,
        "INGESTCTL_MAX_ATTEMPTS",
        about="Crashes in a row after which --pending fails a job.",
        ge=1,
        le=1000,
    )
    retry_attempts: int = _setting(
        3,
        "INGESTCTL_RETRY_ATTEMPTS",
        about="Tries of a download within one attempt, and of one request within a download.",
        ge=1,
        le=100,
    )
    retry_base_s: Seconds = _setting(
        1.0, "INGESTCTL_RETRY_BASE_SECONDS", about="Wait before the second try; doubles."
    )
    retry_max_s: Seconds = _setting(
        60.0, "INGESTCTL_RETRY_MAX_SECONDS", about="The longest wait; a longer Retry-After ends the attempt."
    )

    source_allow_networks: Annotated[tuple[str, ...], NoDecode] = _setting(
        (),
        "INGESTCTL_SOURCE_ALLOW_NETWORKS",
        about="CIDRs that sources may be in besides public addresses, e.g. 10.0.0.0/8. Default: none.",
    )
    max_bytes: ByteSize = _setting(
        ByteSize(50 * GIB), "INGESTCTL_MAX_BYTES", about="The largest original.", gt=0
    )
    max_duration_s: Seconds = _setting(
        12 * 3600.0, "INGESTCTL_MAX_DURATION_SECONDS", about="The longest video."
    )
    download_timeout_s: Seconds = _setting(
        4 * 3600.0, "INGESTCTL_DOWNLOAD_TIMEOUT_SECONDS", about="How long one download may take."
    )
    socket_timeout_s: Seconds = _setting(
        20.0, "INGESTCTL_SOCKET_TIMEOUT_SECONDS", about="How long a source may keep silent."
    )
    cookies_file: Path | None = _setting(
        None, "INGESTCTL_COOKIES_FILE", about="Netscape cookies for sources that ask for a login."
    )
    proxy: SecretStr | None = _setting(
        None, "INGESTCTL_PROXY", about="Proxy for sources. It then decides which addresses may be reached."
    )
    accept_audio_only: bool = _setting(
        False, "INGESTCTL_ACCEPT_AUDIO_ONLY", about="Ingest sources that have audio and no video."
    )

    scratch_dir: Path | None = _setting(
        None, "INGESTCTL_SCRATCH_DIR", about="Where downloads lie while a job runs. Default: scratch in home."
    )
    min_free_bytes: ByteSize = _setting(
        ByteSize(GIB // 2), "INGESTCTL_MIN_FREE_BYTES", about="Scratch space that must stay free.", ge=0
    )
    ffmpeg: Path | None = _setting(
        None,
        "INGESTCTL_FFMPEG",
        about="The ffmpeg program or its folder. Default: PATH, then the bundled one.",
    )
    cool_down_s: Seconds = _setting(
        900.0,
        "INGESTCTL_COOL_DOWN_SECONDS",
        about="How long `retry` leaves a source alone that has just asked for fewer requests.",
    )
    api_url: str | None = _setting(
        None, "INGESTCTL_API_URL", about="The platform's API, for `retry --via api`: https://host[/prefix]."
    )
    api_key: SecretStr | None = _setting(
        None, "INGESTCTL_API_KEY", about="Sent to the API as `Authorization: Bearer …`."
    )
    api_timeout_s: Seconds = _setting(
        15.0, "INGESTCTL_API_TIMEOUT_SECONDS", about="How long one request to the API may take."
    )
    notify_urls: SecretStr | None = _setting(
        None,
        "INGESTCTL_NOTIFY_URLS",
        about="Where `escalate --notify` writes: apprise URLs, separated by white space.",
    )
    escalate_source_jobs: int = _setting(
        5, "INGESTCTL_ESCALATE_SOURCE_JOBS", about="Failed jobs of one source that escalate.", ge=1
    )
    escalate_source_share: float = _setting(
        0.5, "INGESTCTL_ESCALATE_SOURCE_SHARE", about="And their share of that source's jobs.", ge=0, le=1
    )
    escalate_storage_jobs: int = _setting(
        3, "INGESTCTL_ESCALATE_STORAGE_JOBS", about="Jobs failed on storage that escalate.", ge=1
    )
    escalate_storage_share: float = _setting(
        0.2, "INGESTCTL_ESCALATE_STORAGE_SHARE", about="And their share of jobs since the first.", ge=0, le=1
    )
    escalate_crashes: int = _setting(
        3, "INGESTCTL_ESCALATE_CRASHES", about="Attempts with a dead worker that escalate.", ge=1
    )
    escalate_corrupt: int = _setting(
        3, "INGESTCTL_ESCALATE_CORRUPT", about="Corrupt or partial artifacts that escalate.", ge=1
    )
    escalate_corrupt_share: float = _setting(
        0.01, "INGESTCTL_ESCALATE_CORRUPT_SHARE", about="And their share of those verified.", ge=0, le=1
    )

    hand_off: bool = _setting(
        False, "INGESTCTL_HAND_OFF", about="Queue a transcription job when the audio is stored."
    )

    @field_validator("source_allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        words = value.replace(",", " ").split() if isinstance(value, str) else value
        for word in words if isinstance(words, list | tuple) else ():
            ipaddress.ip_network(word, strict=False)
        return tuple(words) if isinstance(words, list | tuple) else words

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object, info: Any) -> object:
        # The same of a flag: `--storage-url ""`.
        if value == "" and info.field_name:
            return cls.model_fields[info.field_name].get_default()
        return value

    @field_validator("env", mode="before")
    @classmethod
    def _environment(cls, value: object) -> object:
        words = {
            "prod": "production",
            "stage": "staging",
            "dev": "local",
            "development": "local",
            "test": "local",
        }
        if isinstance(value, str):
            # POSIX shells use ENV too, for the path of a start-up file.
            return "local" if "/" in value else words.get(value.lower(), value.lower())
        return value

    @model_validator(mode="after")
    def _heartbeat_fits_lease(self) -> Settings:
        if self.heartbeat_s is not None and self.heartbeat_s * 2 > self.lease_s:
            raise ValueError(
                f"INGESTCTL_HEARTBEAT_SECONDS={self.heartbeat_s:g} must be at most half of "
                f"INGESTCTL_LEASE_SECONDS={self.lease_s:g}"
            )
        return self

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Settings:
        # A secret alone chooses no storage and harms nobody before one is opened.
        if self.s3_access_key and not self.s3_secret_key:
            raise ValueError("S3_ACCESS_KEY is set and S3_SECRET_KEY is not: both are needed, or neither")
        return self

    @field_validator(*_CHECKS)
    @classmethod
    def _looks_right(cls, value: str | SecretStr | None, info: Any) -> str | SecretStr | None:
        if value is not None:
            _CHECKS[info.field_name](value.get_secret_value() if isinstance(value, SecretStr) else value)
        return value

    @field_validator("home", "log_dir", "cookies_file", "scratch_dir", "ffmpeg")
    @classmethod
    def _can_be(cls, value: Path | None) -> Path | None:
        if value is not None and any(
            len(part.encode("utf-8", "surrogateescape")) > 255 for part in value.parts
        ):
            raise ValueError("a name in it is longer than 255 bytes")
        return value

    @property
    def effective_heartbeat_s(self) -> float:
        """How often the lease is renewed: as set, else every 10 s, or sooner where the lease is short."""
        return self.heartbeat_s or min(10.0, self.lease_s / 6)

    @property
    def home_dir(self) -> Path:
        """Where everything lies when nothing else is said."""
        return self.home or Path.home() / ".local" / "share" / "ingestctl"

    @property
    def scratch_root(self) -> Path:
        """Where attempts keep their files."""
        return (self.scratch_dir or self.home_dir / "scratch").absolute()

    @property
    def embedded_database(self) -> bool:
        """Whether the database is our own SQLite file, which migrates itself."""
        return self.database_url is None

    @property
    def effective_database_url(self) -> str:
        """The database to open."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.home_dir / DATABASE_FILE).absolute()}"

    @property
    def effective_storage_url(self) -> str:
        """The storage to open: as set; S3 if any S3 setting names one; else a folder under home."""
        if self.storage_url:
            return self.storage_url
        if self.s3_endpoint or self.s3_access_key:
            return "s3://"
        return (self.home_dir / "objects").absolute().as_uri()

    def secrets(self) -> tuple[str, ...]:
        """Every secret value, for redaction."""
        found: list[str] = []
        for _, value in self:
            if isinstance(value, SecretStr):
                secret = value.get_secret_value()
                # Of a URL only the password is secret; messages may hold it encoded or not.
                words = _passwords(secret) if "://" in secret else [secret]
                found += [form for word in words for form in (word, unquote(word))]
        # Of a notification's URL everything may be secret but the scheme.
        notify = self.notify_urls.get_secret_value().split() if self.notify_urls else []
        found += [url.partition("://")[2] for url in notify]
        return tuple(dict.fromkeys(word for word in found if word))


def env_names(field: FieldInfo) -> tuple[str, ...]:
    """The environment names of one setting, the documented one first."""
    alias = field.validation_alias
    return tuple(str(c) for c in alias.choices) if isinstance(alias, AliasChoices) else ()


def secret_names() -> tuple[str, ...]:
    """Environment names whose values are secrets."""
    return tuple(
        n for f in Settings.model_fields.values() if "SecretStr" in str(f.annotation) for n in env_names(f)
    )


def _passwords(url: str) -> list[str]:
    """What stands between user and host, also where a bare "/" in it makes the URL a malformed one."""
    rest = url.partition("://")[2]
    places = (rest.partition("/")[0], rest.partition("?")[0], rest)
    return [place.rpartition("@")[0].partition(":")[2] for place in places]
