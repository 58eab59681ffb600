"""Where a video comes from: job payload 2.0, source identity, the normal form of a URL."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import InvalidPayload

if TYPE_CHECKING:
    from collections.abc import Mapping

PAYLOAD_TYPE = "video_ingestion"
PAYLOAD_VERSION = "2.0"
MAX_KEY_BYTES = 1024
"""The longest object key S3 accepts, in UTF-8 bytes."""
MAX_URL_CHARS = 8192
BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")

_YOUTUBE_HOSTS = ("youtube.com", "youtu.be", "youtube-nocookie.com")


class SourceKind(StrEnum):
    """How a source is fetched."""

    YOUTUBE = "youtube"
    EXTERNAL_URL = "external_url"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class Source:
    """One source: ``uri`` is a URL, or for uploads the key in the uploads bucket."""

    kind: SourceKind
    uri: str

    @property
    def is_upload(self) -> bool:
        """Whether the bytes are already in our own object storage."""
        return self.kind is SourceKind.UPLOAD

    def label(self) -> str:
        """The source family to group failures by: a host, or ``uploads``."""
        return "uploads" if self.is_upload else (urlsplit(self.uri).hostname or "unknown")


@dataclass(frozen=True, slots=True)
class Buckets:
    """The bucket names used where a payload names none."""

    video: str = "raw-videos"
    audio: str = "audio-tracks"
    uploads: str = "uploads"


@dataclass(frozen=True, slots=True)
class IngestSpec:
    """What one job asks for, read from its payload with the platform's defaults filled in."""

    source: Source
    video: ObjectRef
    audio: ObjectRef
    upload: ObjectRef | None
    """For upload sources: the object to copy from."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    provider: str = ""
    """What the submitter called the source's provider, if anything."""


def normalize_url(url: str) -> str:
    """Return the platform API's normal form of ``url``.

    Lower-case scheme and host, no trailing ``/`` on the path, no path params,
    no fragment; the query is kept. Raises InvalidPayload on what is no http(s) URL.
    """
    text = url.strip()
    if len(text) > MAX_URL_CHARS:
        raise InvalidPayload(
            f"source.url is {len(text)} characters long; at most {MAX_URL_CHARS} are accepted"
        )
    if any(ord(c) < 0x20 or ord(c) == 0x7F or c.isspace() for c in text):
        raise InvalidPayload(f"source.url {text[:80]!r} holds white space or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidPayload(f"source.url {text[:200]!r} is not a URL: {error}") from None
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https"):
        raise InvalidPayload(f"source.url {text[:200]!r} must begin with http:// or https://")
    if not host:
        raise InvalidPayload(f"source.url {text[:200]!r} names no host")
    netloc = f"[{host}]" if ":" in host else host
    if port is not None:
        netloc += f":{port}"
    if parts.username is not None:
        userinfo = parts.netloc.rpartition("@")[0]
        netloc = f"{userinfo}@{netloc}"
    # Like the API's urlparse: params are those of the last path segment.
    head, slash, last = parts.path.rpartition("/")
    path = (head + slash + last.partition(";")[0]).rstrip("/")
    return urlunsplit((scheme, netloc, path, parts.query, ""))


def source_of_url(url: str) -> Source:
    """The source that an operator's URL names, with its kind told from the host."""
    uri = normalize_url(url)
    host = (urlsplit(uri).hostname or "").removeprefix("www.").removeprefix("m.").removeprefix("music.")
    kind = SourceKind.YOUTUBE if host in _YOUTUBE_HOSTS else SourceKind.EXTERNAL_URL
    return Source(kind, uri)


def new_payload(
    source: Source,
    video_id: str,
    buckets: Buckets,
    *,
    dedupe_key: str,
    submitted_by: str,
    metadata: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A job payload 2.0, as the platform's API writes it."""
    where = {"upload_ref": source.uri} if source.is_upload else {"url": source.uri}
    return {
        "type": PAYLOAD_TYPE,
        "version": PAYLOAD_VERSION,
        "video_id": video_id,
        "source": {"kind": source.kind.value, **where, "submitted_by": submitted_by},
        "dedupe": {"strategy": "upload_hash" if source.is_upload else "source_url", "key": dedupe_key},
        "artifacts": {
            "video": {"bucket": buckets.video, "object_key": f"videos/{video_id}/source.mp4"},
            "audio": {"bucket": buckets.audio, "object_key": f"videos/{video_id}/audio.wav", "format": "wav"},
        },
        "metadata": {**(metadata or {}), "capture_source_metadata": True},
    }


def parse_payload(
    payload: object, *, video_id: str, source_type: str, source_uri: str, buckets: Buckets
) -> IngestSpec:
    """Read a job's payload; fall back to the video row where it is NULL or ``{}``.

    Unknown keys are kept and ignored. Raises InvalidPayload naming the field.
    """
    body = _mapping(payload, "payload") if payload is not None else {}
    said = _mapping(body.get("source"), "payload.source")
    source, provider = _source(said, source_type, source_uri), said.get("provider")
    artifacts = _mapping(body.get("artifacts"), "payload.artifacts")
    return IngestSpec(
        source=source,
        video=_target(artifacts, "video", buckets.video, f"videos/{video_id}/source.mp4"),
        audio=_target(artifacts, "audio", buckets.audio, f"videos/{video_id}/audio.wav"),
        upload=ObjectRef(buckets.uploads, source.uri) if source.is_upload else None,
        metadata=_mapping(body.get("metadata"), "payload.metadata"),
        provider=provider if isinstance(provider, str) else "",
    )


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, str):  # some writers store JSON as a JSON string
        text = value
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise InvalidPayload(f"{name} is the text {text[:80]!r}, not a JSON object") from None
    if not isinstance(value, dict):
        raise InvalidPayload(f"{name} is {type(value).__name__} {str(value)[:80]!r}, not a JSON object")
    return value


def _source(source: Mapping[str, Any], source_type: str, source_uri: str) -> Source:
    kind_word = source.get("kind") or source_type
    try:
        kind = SourceKind(str(kind_word))
    except ValueError:
        kinds = ", ".join(SourceKind)
        raise InvalidPayload(f"source.kind {str(kind_word)[:80]!r} is not one of: {kinds}") from None
    fallback = source_uri if kind.value == source_type else ""
    if kind is SourceKind.UPLOAD:
        key = source.get("upload_ref") or source.get("object_key") or fallback
        return Source(kind, check_key(key, "source.upload_ref"))
    url = source.get("url") or fallback
    if not isinstance(url, str) or not url.strip():
        raise InvalidPayload(f"source.url is {url!r}: a {kind} source needs a URL")
    return Source(kind, normalize_url(url))


def _target(artifacts: Mapping[str, Any], name: str, bucket: str, key: str) -> ObjectRef:
    spec = _mapping(artifacts.get(name), f"payload.artifacts.{name}")
    given_bucket = spec.get("bucket") or bucket
    if not isinstance(given_bucket, str) or not BUCKET_NAME.fullmatch(given_bucket):
        raise InvalidPayload(f"artifacts.{name}.bucket {str(given_bucket)[:80]!r} is not a bucket name")
    return ObjectRef(given_bucket, check_key(spec.get("object_key") or key, f"artifacts.{name}.object_key"))


def check_key(key: object, field_name: str) -> str:
    """Return ``key`` if it can name an object on every backend; raise InvalidPayload naming the field.

    Refused: empty, over 1,024 bytes, control characters, absolute, ``//``, and ``.`` or ``..`` segments
    (a folder backend would leave its root, and some S3 servers fold them).
    """
    if not isinstance(key, str) or not key:
        given = str(key)[:80]
        raise InvalidPayload(f"{field_name} is {given!r}: an object key is needed")
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise InvalidPayload(f"{field_name} {key[:80]!r} is not valid Unicode") from None
    if size > MAX_KEY_BYTES:
        raise InvalidPayload(f"{field_name} is {size} bytes long; object keys have at most {MAX_KEY_BYTES}")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in key):
        raise InvalidPayload(f"{field_name} {key[:80]!r} holds control characters")
    if key.startswith("/") or posixpath.normpath(key) != key or key.split("/")[0] == "..":
        raise InvalidPayload(f"{field_name} {key[:200]!r} holds empty, '.' or '..' path segments")
    return key
