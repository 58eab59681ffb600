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
    from collections.abc import Callable, Iterable, Iterator

    from ingestctl.domain.errors import Retryable

    _Search = Callable[[str], re.Match[str] | None]

Side = Literal["storage", "database", "media", "source", ""]
"""Who is talking. The same words mean different things from different sides."""


_CASED = "(?-i:"
_CAPITAL = re.compile(r"(\\.)|[A-Z]")
_FIRST = re.compile(r"(?:\\b)?[a-z0-9 ](?![?*+{])")
_STRUCTURE = re.compile(r"\\.|\[(?:\\.|[^\]\\])+\]|[()|]")


class Words:
    """Families of words, case-blind except in ``(?-i:…)``; compiled when first searched for.

    A lowered pattern on the lowered text is three times as fast as ``re.IGNORECASE``, so only
    words that heed case are compiled with it.
    """

    def __init__(self, *families: str) -> None:
        self.pattern = "|".join(families)

    def found_in(self, text: str) -> bool:
        """Whether any of the words stands in the text."""
        plain, cased = self._searches
        return bool((plain and plain(text.lower())) or (cased and cased(text)))

    @cached_property
    def _searches(self) -> tuple[_Search | None, _Search | None]:
        parts = list(_alternatives(self.pattern))
        plain = [
            _CAPITAL.sub(lambda found: found[1] or found[0].lower(), part)
            for part in parts
            if _CASED not in part
        ]
        cased = [part for part in parts if _CASED in part]
        return (
            re.compile(_by_first_letter(plain)).search if plain else None,
            re.compile("|".join(cased), re.IGNORECASE).search if cased else None,
        )


def _alternatives(pattern: str) -> Iterator[str]:
    """The parts of a pattern between the bars that stand in no group."""
    depth = start = 0
    for mark in _STRUCTURE.finditer(pattern):
        depth += (mark[0] == "(") - (mark[0] == ")")
        if mark[0] == "|" and not depth:
            yield pattern[start : mark.start()]
            start = mark.end()
    yield pattern[start:]


def _by_first_letter(parts: Iterable[str]) -> str:
    """The same alternatives, in groups of which a letter of the text can rule out all but one."""
    groups: dict[str, list[str]] = {}
    for part in parts:
        first = _FIRST.match(part)
        groups.setdefault(first[0] if first else "", []).append(part[first.end() :] if first else part)
    return "|".join(f"{first}(?:{'|'.join(rest)})" for first, rest in groups.items())


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
    r"curl: \(61\)|received 10(?!08)\d\d \(|decode content-encoding|decodingerror|streamreset|short read\b|"
    r"content-length \d+ but|"
    r"(?:cannot|could not|unable to|failed to) resolve (?:host )?[\w-]+\.[\w.-]+\W*$|illegal status line|"
    r"chunk hex-length|expected http/|pooltimeout|while decompressing data|"
    r"conflicting content-length|non-properly terminated|no close frame received|response ended prematurely|"
    r"can't handle event type|did not respond|unable to find the server at|"
    r"stalled|gaierror|name does not resolve|\bE(?:NETUNREACH|NETDOWN|NETRESET|HOSTDOWN|"
    r"SOCKETTIMEDOUT|AI_\w+)\b|\bUND_ERR_\w+|"
    r"unknownhostexception|(?:socket|connect|sockettimeout|noroutetohost)exception|dns error|fetch failed|"
    r"error trying to connect|tcp connect",
)

# What Python says of code that is wrong.
PYTHON_BUG = (
    r"object has no attribute '|got an unexpected keyword argument|missing \d+ required (?:positional|"
    r"keyword)|"
    r"takes \d+ positional arguments?|object is not (?:subscriptable|iterable|callable)|"
    r"(?:list|tuple|string) index out of range|unsupported operand type|"
    r"referenced before assignment|name '\w+' is not defined|values to unpack|"
    r"object does not support item assignment|can only concatenate|not supported between instances"
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
    ("source", words(r"youtube\.googleapis|youtube/v3|youtube data api|key-pair-id")),
    (  # a driver's own name for the error, before what the worker was storing
        "database",
        words(
            r"(?-i:\b(?:NumericValueOutOfRange|StringDataRightTruncation|InvalidTextRepresentation)\b)|"
            r"(?:unique|foreign key|check|not null) constraint failed|duplicate key value|database is locked|"
            r"violates (?:unique|foreign key|check|not-null) constraint|no such (?:table|column): "
        ),
    ),
    (
        "storage",
        words(
            r"botocore|boto3|s3transfer|\bs3 ?error\b|S3Exception|minio|when calling the \w+ operation",
            r"endpoint url: ?\"|<error><code>|<code>\w+</code>|x-amz-|swiftclient|radosgw|seaweedfs",
            r"s3 operation failed|api error \w+: |multi-?part[- ]?(?:upload|thread|copy)|AWS HTTP|\bAws\\+S3|"
            r"\ba client error \(|(?:Put|Get|Head|Copy|Upload)(?:Object|Part|Bucket)\b|cloud\.storage|"
            r"AWSError|\bgoogle\.?api|google[./-]cloud|CreateResumableSession|backend ?error|"
            r"\bstorage ?error\b|aws-?sdk|s3cmd|upload (?:of|to) \S|\bstoring \S|store_(?:audio|video|media|"
            r"object)|"
            r"(?:^|[\s/@'\"(=])(?:s3|storage|minio|objects?|ceph|rgw)\.[\w-]+[.:/]|\.storage\.\w|"
            r"could not store|failed to (?:put|store) |"
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
            r"(?-i:\b(?:FlexibleChecksum|CredentialRetrieval|EndpointProvider|EndpointResolution|"
            r"EndpointConnection|"
            r"MetadataRetrieval|NoAuthToken|ResponseStreaming|TokenRetrieval|UnauthorizedSSOToken|"
            r"SSOTokenLoad|UnseekableStream|WaiterConfig|Waiter|LoginRefreshRequired|"
            r"Invalid(?:RetryMode|IMDS\w*|DNSName|S3\w+|Region|MaxRetryAttempts|HostLabel|STS\w+|"
            r"ChecksumConfig)|UnsupportedS3\w+|Unknown(?:Region|Service|Endpoint|SignatureVersion|Credential|"
            r"FIPSEndpoint))Error\b)|send request failed|failed to create file system|"
            r"failed to copy(?:to)?: |\bbucket_name: |"
            r"treehash|\bwaiter \w+ failed|paramvalidationerror|host='(?:s3|storage|minio|objects?|ceph|"
            r"rgw)[.-]|"
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
            r"yt-dl\.org|the appropriate issue template|an extractor error has occ?ur|\[[a-z]+\]\[error\]|"
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
            r"(?-i:^(?:DETAIL|HINT|CONTEXT): {2}\S|^LINE \d+: )|login query|prepared statement|"
            r"ConnectionDoesNotExistError|\bPostgresError|\bsql (?:state|"
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
    (  # a worker's own words for what it did
        "source",
        words(
            r"\b(?:download|fetch|source)(?:ing)? (?:\w+ ){0,2}(?:failed|error)\b|"
            r"(?:stage|step|phase)[\"']?[:=] ?[\"']?(?:download|fetch)"
        ),
    ),
    (
        "database",
        words(
            r"(?<!\[)\b(?:db|database|sql|orm|cursor|migrations?|migrate|schema|transaction|rollback|savepoint)\b|"
            r"\b(?:record|persist|claim|commit|insert|update|query)(?:ing)? (?:\w+ ){0,3}failed\b|"
            r"(?:status|state|job|result|heartbeat|progress) (?:was )?not (?:recorded|saved|updated|stored|"
            r"written)|"
            r"(?:stage|step|phase)[\"']?[:=] ?[\"']?(?:record|persist|db|database|commit|migrat)|"
            r"(?:failed|could not|unable|cannot) (?:to )?(?:record|persist|insert|commit|migrate)\b|"
            r"\b(?:updat|sav|lock|select|insert|register|mark|record|persist|claim|releas)(?:e|ing|ed|s)? "
            r"(?:\w+ ){0,2}(?:job|row|status|state|record)s?\b",
        ),
    ),
)

# Sides whose trouble is nobody else's: a "login" or "404" from storage is not the source's.
OWN: dict[str, frozenset[str]] = {
    "storage": frozenset({"storage_error", "disk_full", "worker_crashed", "configuration", "internal"}),
    "database": frozenset({"database_error", "disk_full", "worker_crashed", "configuration", "internal"}),
}
