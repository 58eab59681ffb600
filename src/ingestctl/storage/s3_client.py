"""One botocore client, made when first needed and shared by all threads, and the small facts about S3."""

from __future__ import annotations

import base64
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingestctl.domain.errors import ConfigurationError
from ingestctl.storage.base import PART_SIZE, ObjectInfo
from ingestctl.storage.s3_listing import parse_listings
from ingestctl.storage.s3_retry import retry_requests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3.client import S3Client

    from ingestctl.domain.artifact import ObjectRef

UPLOAD_NONCE = "ingest-upload"
"""Object metadata that names the upload session an object came from; ours alone, never shown to callers."""
_ENCODED = re.compile(r"=\?UTF-8\?[bB]\?([A-Za-z0-9+/=]*)\?=")


@dataclass(frozen=True, slots=True)
class S3Options:
    """How to reach S3. Without keys the AWS default chain is asked (environment, profile, role)."""

    endpoint_url: str | None = None
    region: str | None = None
    """None: the AWS profile's, else us-east-1."""
    access_key: str | None = None
    secret_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 30.0
    max_attempts: int = 4
    """Tries of one request, the first included. See :mod:`ingestctl.storage.s3_retry`."""
    part_size: int = PART_SIZE
    concurrency: int = 4
    """Parts of one upload in flight."""


class ClientBox:
    """The lazily made client."""

    def __init__(self, options: S3Options) -> None:
        self.options = options
        self._lock = threading.Lock()
        self._client: S3Client | None = None

    @property
    def s3(self) -> S3Client:
        """The client. Making it loads botocore: some 300 ms, once."""
        with self._lock:
            if self._client is None:
                self._client = _make_client(self.options)
            return self._client

    def close(self) -> None:
        """Close the pooled connections. The next use would make a new client."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None


def _make_client(options: S3Options) -> S3Client:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, PartialCredentialsError, ProfileNotFound

    config = Config(
        signature_version="s3v4",
        connect_timeout=options.connect_timeout_s,
        read_timeout=options.read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": 1},  # how often is decided by s3_retry
        max_pool_connections=max(10, 4 * options.concurrency),
        # Checksums are computed here, where the parts are; older servers know no others.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if options.endpoint_url else "auto"},
    )
    try:
        session = boto3.session.Session()
        client: S3Client = session.client(
            "s3",
            endpoint_url=options.endpoint_url,
            region_name=options.region or session.region_name or "us-east-1",
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            aws_session_token=options.session_token,
            config=config,
        )
    except ProfileNotFound as error:
        hint = "Correct AWS_PROFILE, or set S3_ACCESS_KEY and S3_SECRET_KEY."
        raise ConfigurationError(f"S3 cannot be used: {error}", hint=hint) from error
    except PartialCredentialsError as error:
        hint = "Set both S3_ACCESS_KEY and S3_SECRET_KEY, or neither."
        raise ConfigurationError(f"S3 cannot be used: {error}", hint=hint) from error
    except (ValueError, BotoCoreError) as error:
        region = options.region or "by default"
        # A ValueError quotes the endpoint, which may hold a password.
        reason = f": {error}" if isinstance(error, BotoCoreError) else ""
        raise ConfigurationError(
            f"S3 cannot be used with endpoint {safe_url(options)!r} and region {region!r}{reason}",
            hint="Correct S3_ENDPOINT and S3_REGION.",
            evidence=type(error).__name__,
        ) from error
    retry_requests(client, options.max_attempts)
    parse_listings(client)
    return client


def safe_url(options: S3Options) -> str:
    """The endpoint without user info or query, for people."""
    if not options.endpoint_url:
        return f"s3://{options.region or ''}"
    parts = urlsplit(options.endpoint_url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")


def quoted(etag: str) -> str:
    """The ETag as a header carries it."""
    return f'"{etag}"'


def encode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Header values are ASCII: others travel as RFC 2047 encoded words, as S3's own documentation has it."""
    return {key.lower(): _encode(value) for key, value in metadata.items()}


def _encode(value: str) -> str:
    if value.isascii() and value.isprintable() and value == value.strip() and not value.startswith("=?"):
        return value
    return f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="


def decode_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """What :func:`encode_metadata` was given, without our own nonce."""
    return {key: _decode(value) for key, value in metadata.items() if key != UPLOAD_NONCE}


def _decode(value: str) -> str:
    match = _ENCODED.fullmatch(value)
    return base64.b64decode(match[1]).decode(errors="replace") if match else value


def info_of(ref: ObjectRef, head: Mapping[str, Any]) -> ObjectInfo:
    """An ObjectInfo from the reply to HEAD or GET."""
    version = head.get("VersionId")
    return ObjectInfo(
        ref=ref,
        size_bytes=head["ContentLength"],
        etag=head["ETag"].strip('"'),
        modified_at=head["LastModified"].astimezone(UTC),
        content_type=head.get("ContentType"),
        metadata=decode_metadata(head.get("Metadata", {})),
        version_id=None if version == "null" else version,
    )
