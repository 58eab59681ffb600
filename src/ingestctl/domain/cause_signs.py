"""Structure by which causes are known: sides, HTTP statuses, S3 codes, SQLSTATEs.

Data for :mod:`ingestctl.domain.causes`; the words are in :mod:`ingestctl.domain.cause_words`.
Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestctl.domain.errors import Retryable

Side = Literal["storage", "database", "media", "source", ""]
"""Who is talking. The same words mean different things from different sides."""


class Words:
    """A case-blind pattern, compiled when first searched for: all of them together take 40 ms."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    @cached_property
    def search(self) -> Callable[[str], re.Match[str] | None]:
        """``search(text)`` of the compiled pattern."""
        return re.compile(self.pattern, re.IGNORECASE).search


@dataclass(frozen=True, slots=True)
class Sign:
    """Words that show a cause. ``weight`` 3 beats every other line, 1 yields to any better line."""

    words: Words
    cause: str
    retryable: Retryable
    where: Side = ""
    weight: int = 2
    guidance: str = ""


def words(*families: str) -> Words:
    """One case-blind pattern of several alternatives."""
    return Words("|".join(families))


# A connection that failed or broke; whose it was, the side tells.
TRANSPORT: tuple[str, ...] = (
    r"timed? ?out\b|timeout(?:error| error|: | expired| exceeded)|\bETIMEDOUT\b|read timeout|connect timeout",
    r"connection (?:was )?(?:reset|refused|aborted|broken|closed|error|terminated|lost|failed|timeout|"
    r"interrupted)",
    r"\bECONN(?:RESET|REFUSED|ABORTED)\b|connection(?:reset|refused|aborted)?error|forcibly closed",
    r"remote (?:end|host|server) closed|closed (?:the )?connection|broken pipe|\bEPIPE\b|end of file reached",
    r"network (?:is )?(?:unreachable|is down)|no route to host|host is unreachable|\bEHOSTUNREACH\b",
    r"name resolution|name or service not known|nodename nor servname|getaddrinfo|failed to resolve",
    r"could not resolve host|no address associated|no such host|\bENOTFOUND\b|\bEAI_AGAIN\b",
    r"server misbehaving|incompleteread|incomplete read|bytes read(?:,|\.| )|bytes missing",
    r"content ?too ?short|unexpected eof|eof occurred in violation|unexpected_eof|eof while reading",
    r"transport endpoint|i/o timeout|max retries exceeded|server disconnected|socket hang up|bad ?statusline",
    r"protocolerror|giving up after \d+|unable to read chunk|no data blocks|get any data blocks",
    r"downloaded file is empty|content retrieved|downloaded \d+ bytes, expected",
    r"(?:curl: |curl error |code )\(?(?:6|7|18|28|35|52|55|56)\)|stream (?:was )?reset",
    r"http/?2.{0,20}(?:reset|goaway)",
)

# Which side a line comes from: the first row that matches. Only marks a vendor's own wording carries.
SIDES: tuple[tuple[Side, Words], ...] = (
    (
        "storage",
        words(
            r"botocore|boto3|s3transfer|\bs3 ?error\b|S3Exception|minio|when calling the \w+ operation",
            r"endpoint url: ?\"|<error><code>|<code>\w+</code>|x-amz-|swiftclient|radosgw|seaweedfs",
            r"s3 operation failed|api error \w+: |multipart ?upload|AWS HTTP|\bAws\\+S3|"
            r"\ba client error \(|(?:Put|Get|Head|Copy|Upload)(?:Object|Part|Bucket)\b|cloud\.storage|"
            r"AWSError|\bgoogle\.?apis?\b|google\.cloud|backend ?error|\bstorage error\b",
        ),
    ),
    (
        "source",
        words(
            r"yt[-_]dlp|youtube[-_]dl|\[download\]|\[(?:youtube|generic|info|twitch|vimeo|tiktok|"
            r"(?:x/)?twitter|facebook|reddit|bilibili|"
            r"instagram)\b",
            r"error: \[[\w:.+-]+\]|youtube said|extractorerror|unable to download (?:\w+ )*(?:data|webpage|"
            r"page|manifest|json|m3u8)",
        ),
    ),
    (
        "database",
        words(
            r"psycopg|postgres|libpq|sqlalchemy|sqlite|sqlstate|asyncpg|pgbouncer|pg_hba|\bpq: |\bPG::",
            r"\bport[ =]5432\b|:5432\b|\bfatal: {1,2}\w|\bdatabase (?:system|is|file|disk|table|"
            r"connection)\b",
            r"could not connect to (?:server|database)|connection to server at",
        ),
    ),
    (
        "storage",
        words(r"\bs3\b|\bs3[.:/-]|amazonaws|\bbucket\b|\bceph\b|object stor(?:e|age)|storage\.googleapis"),
    ),
    (
        "media",
        words(r"\bff(?:mpeg|probe)\b|@ (?:0x)?[0-9a-f]{6,16}\]|\b(?:in|out)put stream #|av_interleaved"),
    ),
)

# What an HTTP status from a source means; other 4xx are download_blocked, other 5xx download_timeout.
SOURCE_STATUS: dict[int, tuple[str, Retryable]] = {
    402: ("rate_limited", "yes"),  # youtube-dl's FAQ: 402 and 429 both mean overuse
    404: ("invalid_source", "no"),
    408: ("download_timeout", "yes"),
    410: ("invalid_source", "no"),
    416: ("download_timeout", "yes"),
    420: ("rate_limited", "yes"),
    425: ("download_timeout", "yes"),
    429: ("rate_limited", "yes"),
    509: ("rate_limited", "yes"),
    529: ("rate_limited", "yes"),
}

_REASONS = "|".join(re.escape(status.phrase) for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST)

# A status counts only beside words that say it is one: "403" alone may be a byte count.
HTTP_STATUS = re.compile(
    r"(?:\bhttp(?:s|/\d(?:\.\d)?)?(?:[ _-]?(?:error|status|code|response))?(?:[ _-]code)?"
    r"|\bserver returned|\bstatus(?:[ _-]?code)?|\bresponse(?:[ _-]code)?|<httperror|\btoo many"
    r"|\b(?:backend )?error(?: code)?|\breturned error:?|\breturned|\bunexpected response)[\s:=('\"\[]{0,4}"
    r"([45]\d\d)\b(?! (?:bytes|kb|mb|frames|ms|s)\b)"
    rf"|\b([45]\d\d)(?:\s|: )(?:client error|server error|slow down|service temporarily|{_REASONS})",
    re.IGNORECASE,
)

# The code as botocore, raw XML, minio-py and the Go and Java SDKs print it.
S3_CODE = re.compile(
    r"error (?:occurred )?\((\w+)\)(?: occurred)?(?: when calling the|:)"
    r"|<code>\s?(\w+)\s?</code>"
    r"|\bcode ?[:=] ?(\w+), ?(?:message|resource|request)"
    r"|\bapi error (\w+):|AWSError '(\w+)'"
    r"|error code: (\w+)[;,)]"
    r"|S3::Errors::(\w+)",
    re.IGNORECASE,
)
# From botocore's retry tables and the S3, MinIO and Ceph lists of error codes. Any other code is "after-fix".
S3_RETRY = frozenset(
    [
        "slowdown",
        "slowdownread",
        "slowdownwrite",
        "serviceunavailable",
        "internalerror",
        "requesttimeout",
        "operationaborted",
        "throttling",
        "throttlingexception",
        "throttledexception",
        "requestthrottled",
        "requestthrottledexception",
        "toomanyrequests",
        "requestlimitexceeded",
        "bandwidthlimitexceeded",
        "priorrequestnotcomplete",
        "requesttimeoutexception",
        "500",
        "502",
        "503",
        "504",
        "429",
        "408",
        "baddigest",
        "incompletebody",
        "nosuchupload",
        "xminioservernotinitialized",
        "xminiobackenddown",
        "xamzcontentsha256mismatch",
        "conditionalrequestconflict",
        "serverbusy",
        "busy",
        "internalservererror",
        "serviceunavailableexception",
    ]
)
S3_FULL = frozenset(
    [
        "xminiostoragefull",
        "quotaexceeded",
        "xminioadminbucketquotaexceeded",
        "insufficientcapacity",
        "storagefull",
        "507",
        "insufficientstorage",
        "notenoughspace",
        "totalobjectsizelimitexceeded",
    ]
)

SQLSTATE = re.compile(r"\bsqlstate(?: code)?[\s:=(\"'\[]{0,4}([0-9A-Z]{5})\b", re.IGNORECASE)
# Classes of PostgreSQL's appendix A that pass by themselves: connection, rollback, resources, locks.
SQLSTATE_RETRY = ("08", "25P03", "40", "53", "55P03", "57", "XX000")
