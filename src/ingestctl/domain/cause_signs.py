"""What the table of causes is made of: signs, who is talking, and words that many rows share.

Data for :mod:`ingestctl.domain.causes`; the codes are in :mod:`ingestctl.domain.cause_codes`.
Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestctl.domain.errors import Retryable

Side = Literal["storage", "database", "media", "source", ""]
"""Who is talking. The same words mean different things from different sides."""


_CASED = "(?-i:"
_CAPITAL = re.compile(r"(\\.)|[A-Z]")


class Words:
    """Families of words, case-blind except in ``(?-i:…)``; compiled when first searched for.

    A lowered pattern on the lowered text is three times as fast as ``re.IGNORECASE``, so only
    families that heed case are compiled with it.
    """

    def __init__(self, *families: str) -> None:
        self.pattern = "|".join(families)
        self._plain = "|".join(family for family in families if _CASED not in family)
        self._cased = "|".join(family for family in families if _CASED in family)

    def found_in(self, text: str) -> bool:
        """Whether any of the words stands in the text."""
        return bool(self._plain and self._find(text.lower())) or bool(self._cased and self._find_cased(text))

    @cached_property
    def _find(self) -> Callable[[str], re.Match[str] | None]:
        lowered = _CAPITAL.sub(lambda found: found[1] or found[0].lower(), self._plain)
        return re.compile(lowered).search

    @cached_property
    def _find_cased(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self._cased, re.IGNORECASE).search


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
    return Words(*families)


# A connection that failed or broke; whose it was, the side tells.
TRANSPORT: tuple[str, ...] = (
    r"timed? ?out\b(?![:=] ?\d)|timeout(?:error| error|: (?!\d)| expired| exceeded)|\bETIMEDOUT\b|"
    r"read timeout|connect timeout",
    r"connection (?:was )?(?:reset|refused|aborted|broken|closed|error|terminated|lost|failed|timeout|"
    r"interrupted)",
    r"\bECONN(?:RESET|REFUSED|ABORTED)\b|connection(?:reset|refused|aborted)?error|forcibly closed",
    r"remote (?:end|host|server) closed|closed (?:the )?connection|broken pipe|\bEPIPE\b|end of file reached",
    r"network (?:is )?(?:unreachable|is down)|a network error|no route to host|host is unreachable|"
    r"\bEHOSTUNREACH\b",
    r"name resolution|name or service not known|nodename nor servname|getaddrinfo|"
    r"failed to resolve (?!url|album|playlist)",
    r"resolve host|no address associated|no such host|\bENOTFOUND\b|\bEAI_AGAIN\b",
    r"server misbehaving|incompleteread|incomplete read|bytes read(?:,|\.| )|bytes missing",
    r"content ?too ?short|unexpected eof|eof occurred in violation|unexpected_eof|eof while reading",
    r"transport endpoint|i/o timeout|max retries exceeded|server disconnected|socket hang up|bad ?statusline",
    r"protocolerror|unable to read chunk|got eof from|failed to (?:receive|send|peek) data|"
    r"network problem has|bad (?:chunk|status[- ]line)|in chunk size|"
    r"malformed status line|ssl i/o error|unknown host\b|non-properly terminated|received http/0|"
    r"rtmp handshake|"
    r"no data blocks|get any data blocks",
    r"no data received|content retrieved|downloaded \d+ bytes, expected|while only \d+ bytes got",
    r"(?:curl: |curl error |code )\(?(?:6|7|18|28|35|16|52|55|56|92)\)|stream (?:was )?reset",
    r"http/?2.{0,20}(?:reset|goaway)|payload (?:is )?not completed|peer closed|remoteprotocolerror",
    r"client(?:payload|connector|oserror)\w{0,20}|chunkedencoding|incomplete (?:chunked|message|download)",
    r"dns (?:lookup|resolution|server|error|failure)|tls handshake|handshake (?:time|fail|oper|did not)",
    r"(?:connect|connection attempt) (?:failed|error)|failed to connect|unable to connect|"
    r"(?:could|can)(?:n.t|.t|not| not) connect|error connecting|not connect to",
    # errno of Linux, macOS and Windows, with or without its words
    r"(?:errno|win ?error|wsa error|socket error|os error)[ :=]{1,3}(?:10[0-8]|11[0-3]|99|49|5[0-4]|57|"
    r"6[0145]|"
    r"100[4-6]\d|1100[1-4]|121|1236|12002|12007|12029|12030|12152)\b(?!\D{0,3}(?:remote i/o))",
    r"\berrno[ :=]{1,3}-[235]\b|\bWSA(?:E\w+|HOST_NOT_FOUND|TRY_AGAIN|NO_DATA)\b|host is down|"
    r"network dropped",
    r"(?:cannot|can't) assign requested address|no buffer space|software caused connection abort",
    r"network name is no longer available|semaphore timeout|requested address is not valid in its context",
    r"5xx server error|failure when receiving data|fail\w* sending data|timeout was reached|"
    r"transferred a partial file",
    r"server returned nothing|http/?2 framing layer|not closed cleanly|failed to decode it|"
    r"connection has been "
    r"closed \(eof\)",
    r"conflicting range\.|ended prematurely.{0,20}(?:transfer|response)|wsaeconn\w+|context deadline",
    r"stream error|stream ends prematurely|unexpected end of (?:stream|response)|no response from|"
    r"did not respond|stalled|gaierror|name does not resolve|\bE(?:NETUNREACH|NETDOWN|NETRESET|HOSTDOWN|"
    r"SOCKETTIMEDOUT|AI_\w+)\b|\bUND_ERR_\w+|"
    r"unknownhostexception|(?:socket|connect|sockettimeout|noroutetohost)exception|dns error|fetch failed|"
    r"error trying to connect|tcp connect",
)

# A line that tells of trouble at all, in whatever words.
TROUBLE = (
    r"error|exception|\bfail|fatal|panic|can ?not\b|can.t\b|could ?n[o']t|could not|unable|invalid|denied|"
    r"refus|"
    r"abort|not (?:found|allowed|supported|implemented|permitted|valid|matched|configured|enabled)|no such|"
    r"unexpected|missing|broken|"
    r"corrupt|"
    r"exceed|took too long|cancell?ed|wrong|\bbad\b|unknown|rejected|does(?: not|n.t)|did(?: not|n.t)|"
    r"malformed|mismatch|"
    r"unsupported|must (?:be|not)"
)

# What S3 says in sentences of its own, which tell the side and that something is wrong.
S3_SENTENCES: tuple[str, ...] = (
    r"your proposed upload|(?:your|object) (?:object )?key is too long|content-length http header|"
    r"method is not allowed against|content-md5 (?:that )?you specified|requested bucket name|"
    r"the named bucket|"
    r"bucket (?:that )?you (?:tried|are attempting)|list of parts was not|xml (?:that )?you provided|"
    r"header (?:that )?you provided implies|provided token (?:has expired|is malformed)|aws access key|"
    r"all access to this object|your aws account|version id specified in|"
    r"pre-?conditions (?:that )?you specified|"
    r"storage class (?:that )?you specified|object's storage class|current state of the object|"
    r"object restore is|"
    r"your socket connection to the server|we encountered an internal error|"
    r"conflicting (?:conditional )?operation|"
    r"authorization header (?:that you provided|is malformed)|metadata headers exceed|more buckets than|"
    r"part number must be an integer|number of bytes specified by|object is (?:immutable|locked|worm)|"
    r"storage resources are|requested is (?:unread|unwrit)able|access key id (?:that )?you provided|"
    r"security token included in the request|not able to validate the provided access|"
    r"request signature we calculated|signed up for the amazon|reach quorum|usage cap exceeded",
    r"(?-i:\b(?:NoSuch(?:Bucket|Key|Upload)|SignatureDoesNotMatch|InvalidAccessKeyId|SlowDown(?:Read|Write)?|"
    r"RequestTimeTooSkewed|EntityToo(?:Large|Small)|BucketAlready\w+|BucketNotEmpty|InvalidBucketName|"
    r"AuthorizationHeaderMalformed|MalformedXML|XMinio\w+|XAmz\w+|ExpiredToken|InvalidPart(?:Order)?|"
    r"BadDigest|InvalidDigest|PermanentRedirect|TemporaryRedirect|AllAccessDisabled|InvalidObjectState|"
    r"InvalidStorageClass|KeyTooLongError|MissingContentLength|IncompleteBody|InvalidSecurity|"
    r"TooManyBuckets|UserSuspended|QuotaExceeded|AccountProblem|OperationAborted|BlobNotFound|"
    r"ContainerNotFound|"
    r"InvalidClientTokenId|UnrecognizedClientException|SignatureExpired|AuthFailure|AccountIsDisabled|"
    r"AuthorizationPermissionMismatch)\b)",
)

# Which side a line comes from: the first row that matches. Only marks a vendor's own wording carries.
SIDES: tuple[tuple[Side, Words], ...] = (
    ("source", words(r"youtube\.googleapis|youtube/v3|youtube data api")),
    (
        "storage",
        words(
            r"botocore|boto3|s3transfer|\bs3 ?error\b|S3Exception|minio|when calling the \w+ operation",
            r"endpoint url: ?\"|<error><code>|<code>\w+</code>|x-amz-|swiftclient|radosgw|seaweedfs",
            r"s3 operation failed|api error \w+: |multi-?part[- ]?(?:upload|thread|copy)|AWS HTTP|\bAws\\+S3|"
            r"\ba client error \(|(?:Put|Get|Head|Copy|Upload)(?:Object|Part|Bucket)\b|cloud\.storage|"
            r"AWSError|\bgoogle\.?api|google[./-]cloud|CreateResumableSession|backend ?error|"
            r"\bstorage ?error\b|aws-?sdk|s3cmd|upload of \S|could not store|failed to (?:put|store) |"
            r"azure \w+load|"
            r"\.storage(?:\s-|:)|(?:stage|step|phase)[\"']?[:=] ?[\"']?stor|provided region_name|"
            r"retriesexceedederror|noauthhandler|s3uri\b|"
            r"invalid xml received|"
            r"\brclone\b",
            r"status code: \d{3}, request id|failed to copy: |backblaze|\bb2_\w|b2api|wasabi|gcsfs|s3fs|"
            r"goofys",
            r"\bgs://|gsutil|GoogleAPICall|blob\.core\.windows|digitaloceanspaces|r2\.cloudflarestorage",
            r"part upload|upload url|heal\.object|google\.auth|azure\.(?:core|storage)|\brados|\bweed\b|"
            r"\bs3api_\w|\bneedle_\w+\.go|non-xml response from server|writable volumes|"
            r"volume \S{1,40} is read|filer_|storage blob|blob data|x-ms-|x-oss-|"
            r"errorcode:[a-z]|\brgw\b|upload id\b|uploadid|entity tag|storage\.objects?\.|"
            r"storage\.buckets?\.|\.minio\.sys|"
            r"amz-request|HostId|error making request with error code|\bSigV4\b|presigned|aliyuncs|qcloud|"
            r"cos_exception|scw\.cloud|oss2\.exceptions|b2sdk|boto\.exception|\bmc: <\w+>|awssdk|aws_sdk|"
            r"smithy",
            r"errorcode: ?(?:blob|container)\w+|\bBlob(?:AlreadyExists|Archived|BeingRehydrated|"
            r"ImmutableDueToPolicy)\b|"
            r"inaccessible host|list-type=2|backup[- ]stor(?:e|age)|\bvelero\b|\brestic\b|\bb2\.exception|"
            r"\bb2 uploader|"
            r"\bput_object|"
            r"\bc\d{3}_v\d{7}_t\d{4}\b|\bin vault \d|\bAPI_[A-Z_]{3,40}_CALLED|request error \[\w+\]|"
            r"\bgarage_\w+|(?<![.\w])garage(?:: |\))|>garage<|rustfs",
            *S3_SENTENCES,
        ),
    ),
    (
        "source",
        words(
            r"yt[-_]?dlp|youtube[-_]?dl|spotdl|audioprovider|\berror: {1,3}[\w-]{11}: |\[download\]|"
            r"\[(?:youtube|generic|info|twitch|vimeo|tiktok|"
            r"(?:x/)?twitter|facebook|reddit|bilibili|"
            r"instagram)\b",
            r"error: \[[\w:.+-]+\]|youtube said|extractorerror|unable to download (?:\w+ ){0,6}(?:data|"
            r"webpage|"
            r"page|manifest|json|m3u8)",
            r"yt-dl\.org|the appropriate issue template|an extractor error has occ?ur|\]\s?\[error\]|"
            r"gallery-dl|streamlink|\[cli\]|you-get|"
            r"^error: [\w. -]{2,40} (?:said|says|returned error|returns error)\b|playable streams|m3u8 info|"
            r"could not open stream|<hlsstream|errorCode=\d|CUID#|scrapy\.|pytube|innertube|instaloader|"
            r"newpipe|rtmpdump|^error: (?:unable to )?open(?:ing)? url|"
            r"\bplugin\w* \w+ for url|^\[[\w:.]{3,30}\] [\w./-]{3,60}: (?:downloading|extracting|resolving)",
        ),
    ),
    (
        "database",
        words(
            r"psycopg|(?-i:\b(?:Duplicate|Undefined)\w+Error\b|"
            r"\b(?:ProgramLimitExceeded|StatementTooComplex|InvalidTextRepresentation|NumericValueOutOfRange|"
            r"StringDataRightTruncation|ReadOnlySqlTransaction|InFailedSqlTransaction|InsufficientPrivilege|"
            r"InvalidCatalogName|QueryCanceled|LockNotAvailable|AdminShutdown|CannotConnectNow)\b|"
            r"\w+Violation(?:Error)?\b|\bDataError\b)|"
            r"(?:Operational|Programming|Integrity|Interface|TransactionManagement)Error|django\.db|"
            r"postgres|pg8000|libpq|sqlalche|sqlite|sqlstate|asyncpg|pgbouncer|pg_hba|\bpq: |\bPG::",
            r"\bport[ =]5432\b|:5432\b|, 5432\)|(?-i:\bFATAL: {1,2}\w)|\bdatabase (?:system|is|file|disk|"
            r"table|"
            r"connection)\b",
            r"(?<!ms: )could not connect to (?:server|database)|connection to server at|PGSQL|\bpgx?pool|"
            r"\bpgx\b",
            r"(?-i:(?:ERROR|FATAL|PANIC|LOG|WARNING): {2}\S)|(?-i:(?:WARNING|LOG|ERROR) [CS]-0x)|\bpooler\b",
            r"\bdb error\b|server[_ ]login|(?-i:\[\d+\] (?:FATAL|PANIC|LOG|ERROR|WARNING): )|\bpg_\w|patroni|"
            r"wal (?:segment|record|file)|pageaddr|pg_probackup|"
            r"alembic|driver: bad conn|autovacuum|\bvacuum\b|page checksum|replication slot|\bstandby\b|"
            r"pgbackrest|wal-g|"
            r"login query|prepared statement|ConnectionDoesNotExistError|\bPostgresError|\bsql (?:state|"
            r"error)\b|"
            r"sql logic error|other api misuse|string or blob too big|idle[- ]session|"
            r"accessed by other users",
        ),
    ),
    (
        "media",
        words(r"\[[\w#:/,-]{2,40} @ (?:0x)?[0-9a-f.]{1,16}\]|\b(?:in|out)put stream #|av_interleaved"),
    ),
    (
        "storage",
        words(
            r"\bs3\b|\bs3[.:/-]|amazonaws|\bbuckets?\b|\bceph\b|object stor(?:e|age)|storage\.googleapis",
            r"one or more of the specified parts|specified (?:multipart )?upload|the specified (?:key|"
            r"bucket)|"
            r"request id[:=](?! ?[0-9a-f]{8}-)|upload (?:\w+ )?failed|failed to upload|\bswift\b|"
            r"storage backend|(?-i:\bAccessDenied\b)",
        ),
    ),
    (
        "media",
        words(r"\bff(?:mpeg|probe)\b"),
    ),
)

# Sides whose trouble is nobody else's: a "login" or "404" from storage is not the source's.
OWN: dict[str, frozenset[str]] = {
    "storage": frozenset({"storage_error", "disk_full", "worker_crashed", "configuration"}),
    "database": frozenset({"database_error", "disk_full", "worker_crashed", "configuration"}),
}
