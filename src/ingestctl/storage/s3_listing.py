"""Pages of a listing, parsed at a fifth of what botocore takes.

botocore walks its model of the service for every field of every object: 70 µs of CPU each, most of what an
audit of a fleet costs. Its hook before parsing takes the page away from it and hands over the entries;
signing, retries and errors stay botocore's. Tests hold what is read here against what botocore reads.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import unquote_plus
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_s3.client import S3Client

_ENTRIES = "ingestctl-entries"


class Entry(NamedTuple):
    """One object of a listing."""

    key: str
    size_bytes: int
    etag: str
    """Without quotes."""
    modified_at: datetime


def parse_listings(client: S3Client) -> None:
    """Let each reply to ``client.list_objects_v2`` carry its entries for :func:`entries_of`, no ``Contents``.

    A reply that is no listing makes the call raise botocore's ResponseParserError: botocore itself takes
    any XML, a login page among them, for an empty listing.
    """

    def take(*, response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: Any) -> None:
        if response_dict["status_code"] == 200:
            customized_response_dict.update(_page(response_dict["body"]))
            response_dict["body"] = b""

    events = client.meta.events
    events.register_last("before-parse.s3.ListObjectsV2", cast(Any, take), unique_id="ingestctl-listing")


def entries_of(page: Mapping[str, Any]) -> Iterator[Entry]:
    """The objects of one reply to ``list_objects_v2``. Raises ResponseParserError for one that is garbled."""
    encoded = page.get("EncodingType") == "url"
    for fields in page[_ENTRIES]:
        try:
            key, modified_at = fields["Key"], _moment(fields["LastModified"])
            size, etag = int(fields["Size"]), fields["ETag"].strip('"')
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise _garbled(f"an entry of a listing lacks a field or garbles it ({error!r})") from error
        yield Entry(unquote_plus(key) if encoded else key, size, etag, modified_at)


def _page(body: bytes) -> dict[str, Any]:
    """A listing's own fields and its entries."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314 - what botocore parses with too
    except ElementTree.ParseError as error:
        raise _garbled(f"a listing that is not XML ({error})") from error
    if _name(root.tag) != "ListBucketResult":
        raise _garbled(f"<{_name(root.tag)}> where a listing was asked for")
    page: dict[str, Any] = {}
    entries = page.setdefault(_ENTRIES, [])
    names = _Names()
    for child in root:
        name = names[child.tag]
        if name == "Contents":
            entries.append({names[field.tag]: field.text for field in child})
        elif name in ("NextContinuationToken", "EncodingType"):
            page[name] = child.text
        elif name == "IsTruncated":
            page[name] = child.text == "true"
    return page


def _garbled(what: str) -> Exception:
    from botocore.parsers import ResponseParserError

    return ResponseParserError(what)


class _Names(dict[str, str]):
    """Tags without their namespace."""

    def __missing__(self, tag: str) -> str:
        self[tag] = name = _name(tag)
        return name


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _moment(text: str) -> datetime:
    """A time of a listing, which S3 writes in ISO 8601 and some servers otherwise. Raises ValueError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        from botocore.utils import parse_timestamp

        moment = parse_timestamp(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
