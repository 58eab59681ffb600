"""The signs by which causes are known: data for :mod:`ingestctl.domain.causes`.

One line of text is looked at by the rows of :data:`SIGNS` in order and the
first that matches speaks for the line. To teach a new wording, add it to the
row of its family; a row of its own is needed only where retryability or
guidance differ. Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ingestctl.domain.errors import Retryable

Side = Literal["storage", "database", "media", "source", ""]
"""Who is talking. The same words mean different things from different sides."""


@dataclass(frozen=True, slots=True)
class Sign:
    """Words that show a cause. ``weight`` 3 beats every other line, 1 yields to any better line."""

    words: re.Pattern[str]
    cause: str
    retryable: Retryable
    where: Side = ""
    weight: int = 2
    guidance: str = ""


def _words(*families: str) -> re.Pattern[str]:
    return re.compile("|".join(families), re.IGNORECASE)


# Which side a line comes from: the first row that matches. Only marks a vendor's own wording carries.
SIDES: tuple[tuple[Side, re.Pattern[str]], ...] = (
    (
        "storage",
        _words(
            r"botocore|boto3|s3transfer|\bs3 ?error\b|S3Exception|minio|when calling the \w+ operation",
            r"endpoint url: ?\"|<error><code>|<code>\w+</code>|x-amz-|swiftclient|radosgw|seaweedfs",
            r"s3 operation failed|api error \w+: |cloud\.storage",
        ),
    ),
    (
        "source",
        _words(
            r"yt[-_]dlp|youtube[-_]dl|\[download\]|\[(?:youtube|generic|info|twitch|vimeo|tiktok|instagram)\b",
            r"error: \[[\w:.+-]+\]|unable to download (?:\w+ )*(?:data|webpage|page|manifest|json|m3u8)",
        ),
    ),
    (
        "database",
        _words(
            r"psycopg|postgres|libpq|sqlalchemy|sqlite|sqlstate|asyncpg|pgbouncer|pg_hba|\bpq: |\bPG::",
            r"\bport[ =]5432\b|:5432\b|\bfatal: {1,2}\w|\bdatabase (?:system|is|file|disk|table|connection)\b",
            r"could not connect to (?:server|database)|connection to server at",
        ),
    ),
    (
        "storage",
        _words(r"\bs3\b|\bs3[.:/-]|amazonaws|\bbucket\b|\bceph\b|object stor(?:e|age)|storage\.googleapis"),
    ),
    (
        "media",
        _words(r"\bff(?:mpeg|probe)\b|@ (?:0x)?[0-9a-f]{6,16}\]|\b(?:in|out)put stream #|av_interleaved"),
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

# A status counts only beside words that say it is one: "403" alone may be a byte count.
HTTP_STATUS = re.compile(
    r"(?:\bhttp(?:s|/\d(?:\.\d)?)?(?:[ _-]?(?:error|status|code|response))?(?:[ _-]code)?"
    r"|\bserver returned|\bstatus(?:[ _-]?code)?|\bresponse(?:[ _-]code)?|<httperror|\btoo many"
    r"|\breturned error:?|\breturned|\bunexpected response)[\s:=('\"]{0,4}([45]\d\d)\b"
    r"|\b([45]\d\d)(?:\s|: )(?:client error|server error|forbidden|not found|gone\b|too many requests"
    r"|unauthorized|bad gateway|service (?:temporarily )?unavailable|internal server error"
    r"|gateway time-?out|unavailable for legal|insufficient storage|slow down|precondition failed)",
    re.IGNORECASE,
)

# The code as botocore, raw XML, minio-py and the Go and Java SDKs print it.
S3_CODE = re.compile(
    r"error occurred \((\w+)\) when calling the"
    r"|<code>\s?(\w+)\s?</code>"
    r"|\bcode ?[:=] ?(\w+), ?(?:message|resource|request)"
    r"|\bapi error (\w+):"
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
# Classes of PostgreSQL's appendix A that pass by themselves: connection, rollback, resources, locks, operator.
SQLSTATE_RETRY = ("08", "25P03", "40", "53", "55P03", "57", "XX000")

_UPDATE = "The extractor no longer understands the site: update yt-dlp, then retry."
_LOGIN = "The source wants a login: give the worker cookies of an account that may watch it, then retry."
_GEO = "The source is closed to the worker's region: fetch through a proxy in an allowed region, then retry."
_BOT = "The source takes the worker for a robot: use cookies, another egress address or a newer yt-dlp."
_SOON = "The stream or premiere is not there yet: retry after it has been published."
_SILENT = "The video has no audio to extract; a transcript cannot be made from it."
_CREDENTIALS = "Storage refused who we are: check S3_ACCESS_KEY, S3_SECRET_KEY and the bucket policy."
_TOOL = "A program or library the worker needs is missing or too old: install it, then retry."
_TRANSPORT = (
    r"timed? ?out\b|timeout(?:error| error|: | expired| exceeded)|\bETIMEDOUT\b|read timeout|connect timeout",
    r"connection (?:was )?(?:reset|refused|aborted|broken|closed|error|terminated|lost|failed|timeout|interrupted)",
    r"\bECONN(?:RESET|REFUSED|ABORTED)\b|connection(?:reset|refused|aborted)?error|forcibly closed",
    r"remote (?:end|host|server) closed|closed (?:the )?connection|broken pipe|\bEPIPE\b|end of file reached",
    r"network (?:is )?(?:unreachable|is down)|no route to host|host is unreachable|\bEHOSTUNREACH\b",
    r"name resolution|name or service not known|nodename nor servname|getaddrinfo|failed to resolve",
    r"could not resolve host|no address associated|no such host|\bENOTFOUND\b|\bEAI_AGAIN\b|server misbehaving",
    r"incompleteread|incomplete read|bytes read(?:,|\.| )|bytes missing|content ?too ?short|unexpected eof",
    r"eof occurred in violation|unexpected_eof|eof while reading|transport endpoint|i/o timeout|max retries exceeded",
    r"server disconnected|socket hang up|bad ?statusline|protocolerror|giving up after \d+|unable to read chunk",
    r"no data blocks|get any data blocks|downloaded file is empty|content retrieved|downloaded \d+ bytes, expected",
    r"(?:curl: |curl error |code )\(?(?:6|7|18|28|35|52|55|56)\)|stream (?:was )?reset|http/?2.{0,20}(?:reset|goaway)",
)

SIGNS: tuple[Sign, ...] = (
    # --- a full disk, whoever says it ---------------------------------------------------------
    Sign(
        _words(
            r"no space left|\bENOSPC\b|\bEDQUOT\b|errno[ :=]*(?:28|122)\b|os error (?:28|122|112)\b|winerror 112",
            r"not enough (?:free )?(?:disk )?space|disk quota exceeded|file ?system (?:is )?full|out of disk space",
            r"(?:disk|drive|device|volume|partition) (?:is )?full\b|SQLITE_FULL|insufficient (?:disk )?(?:space|storage)",
            r"storage ?full|minimum free (?:disk|drive)|sqlstate[\s:=(]{0,3}53100|bucket quota|quota of the bucket",
            r"ephemeral[- ](?:local )?storage|no (?:free|writable) volumes|disk ?pressure|exceeded its quota.{0,40}storage",
        ),
        "disk_full",
        "after-fix",
        weight=3,
    ),
    # --- PostgreSQL and SQLite ---------------------------------------------------------------
    Sign(
        _words(
            r"(?:password|peer|ident|sasl|scram|md5|gssapi|ldap)[\w ]{0,12} authentication failed|no pg_hba\.conf entry",
            r"authentication failed for user|role \"[^\"]{0,80}\" (?:does not exist|is not permitted)",
            r"no password supplied|database \"[^\"]{0,80}\" does not exist|permission denied for (?:table|schema|relation)",
            r"permission denied for (?:database|sequence|function|column|view|language)|must be (?:owner|superuser)",
            r"row-level security policy|invalid dsn|missing \"=\" after|invalid connection option|requires ssl|ssl off",
            r"does not support ssl|insufficientprivilege|could not translate host name|could not parse.{0,40}url from",
        ),
        "database_error",
        "after-fix",
        guidance="The database refused us: check DATABASE_URL (host, user, password, name) and the role's grants.",
    ),
    Sign(
        _words(
            r"(?:relation|column|table|schema|type|function|operator|constraint) \"?[\w.\"]{1,120}.{0,60} does not exist",
            r"no such (?:table|column)|undefined(?:table|column)|has no column named|can't locate revision",
            r"already exists.{0,20}relation|relation \"[^\"]{0,80}\" already exists|multiple head revisions",
        ),
        "database_error",
        "after-fix",
        guidance="The schema is not the one this program needs: run `ingestctl db upgrade`.",
    ),
    Sign(
        _words(
            r"violates (?:unique|foreign key|check|not-null|exclusion) constraint|null value in column",
            r"(?:unique|foreign key|check|not null) constraint failed|syntax error at or near|invalid input syntax",
            r"value too long for type|out of range|current transaction is aborted|in failed sql transaction",
            r"database disk image is malformed|not a database\b|readonly database|read-only (?:transaction|database)",
            r"unable to open database|could not open relation|invalid page in block|could not read block|PANIC: ",
            r"disk i/o error|SQLITE_(?:CORRUPT|READONLY|NOTADB|IOERR|CANTOPEN|CONSTRAINT)|datatype mismatch",
            r"invalid byte sequence for encoding|could not access status of transaction|could not determine data type",
            r"unsupported (?:startup|frontend)|can't adapt type|missing chunk number|cached plan must not change",
            r"cannot execute \w+ in a read-only|could not write (?:block|to file)|not accepting commands",
        ),
        "database_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"server closed the connection|could not connect to server|connection to server (?:at|on)",
            r"database (?:table |schema )?is locked|SQLITE_(?:BUSY|LOCKED)|deadlock detected|could not serialize",
            r"too many (?:clients|connections for)|remaining connection slots|sorry, too many|queuepool limit",
            r"database system is (?:starting|shutting|in recovery|not yet)|terminating connection|canceling statement",
            r"cancell?ing (?:authentication|autovacuum)|lock timeout|could not obtain lock|query_wait_timeout|admin shutdown",
            r"ssl syscall|ssl connection has been closed|connection (?:already|is) closed|couldn't get a connection after",
            r"conflict with recovery|terminated by signal.{0,80}server process|server process.{0,80}terminated by signal",
            r"another server process exited|because of crash|pool(?:timeout| timeout)|idle-in-transaction|cannot connect now",
            r"lost synchronization|out of shared memory|could not receive data from (?:server|client)|locking protocol",
            r"could not send (?:data|ssl)|the connection is (?:lost|closed)|schema has changed|no more connections allowed",
            r"consuming input failed|sending query failed|connection (?:pool|slots)|pgbouncer cannot connect|server conn crashed",
        ),
        "database_error",
        "yes",
    ),
    Sign(_words(r"out of memory|memory exhausted", *_TRANSPORT), "database_error", "yes", where="database"),
    # --- object storage -----------------------------------------------------------------------
    Sign(
        _words(
            r"unable to locate credentials|partial credentials|error when retrieving credentials|no ?credentialserror",
            r"accessdenied|access denied|access key id you provided|signature we calculated|request has expired",
            r"invalidaccesskeyid|signaturedoesnotmatch|expiredtoken|security token included|allaccessdisabled",
            r"token has expired|token is expired|sso session|forbidden|unauthorized|not authorized",
            r"difference between the request time|failed to refresh|invalid access key|credentials",
        ),
        "storage_error",
        "after-fix",
        where="storage",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"unable to locate credentials|partial credentials found|access key id you provided does not exist",
            r"signature we calculated does not match|invalidaccesskeyid|signaturedoesnotmatch",
        ),
        "storage_error",
        "after-fix",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"nosuchbucket|bucket does not exist|nosuchkey|specified key does not exist|invalid bucket name",
            r"bucket \S{1,80} (?:does not exist|not found)|permanentredirect|must be addressed using",
            r"preconditionfailed|pre-conditions you specified|entitytoolarge|methodnotallowed|invalidpart\b",
            r"object (?:is )?(?:locked|immutable)|\bworm\b|ssl validation failed|certificate|unsupported configuration",
            r"invalid_grant|badrequest|authorizationheadermalformed|region .{0,30}is wrong",
        ),
        "storage_error",
        "after-fix",
        where="storage",
    ),
    Sign(
        _words(
            r"nosuchbucket|specified bucket does not exist|specified key does not exist|nosuchkey",
            r"at least one of the pre-conditions you specified",
        ),
        "storage_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"slow ?down|reduce your request rate|service ?unavailable|internal ?(?:server ?)?error|please try again",
            r"temporarily|overloaded|throttl|too many requests|server not initialized|quorum|backend ?down",
            r"checksum|hash does not match|content-md5|were not uploaded|no such upload|specified multipart upload",
            r"could not connect|failed to connect|closed before we received|total bytes expected|resource requested is unread",
            r"reading from response stream|bad gateway|(?:drive|disk)s? (?:is |are )?offline|no drives?|not enough (?:live|volume)",
            *_TRANSPORT,
        ),
        "storage_error",
        "yes",
        where="storage",
    ),
    Sign(
        _words(
            r"reduce your request rate|(?:read|write|multipart) quorum|insufficient number of (?:drives|disks|online)",
            r"specified multipart upload does not exist|server not initialized|content-md5 you specified",
        ),
        "storage_error",
        "yes",
    ),
    # --- the worker itself --------------------------------------------------------------------
    Sign(
        _words(
            r"\bOOM ?killed\b|oom[-_ ]kill|invoked oom|out of memory|memory cgroup|\bMemoryError\b|cannot allocate memory",
            r"errno[ :=]*12\b|worker(?:losterror| exited| was terminated|.{0,40}sent sig(?:kill|term|segv|abrt))|worker timeout",
            r"exit(?:ed)?(?: with)?(?: non-zero)?(?: exit)?[ _-]?(?:code|status)?[ :=(]{0,3}(?:-9|-11|-6|13[479]|143|247)\b",
            r"signal[ :=]{1,3}(?:9|6|11|15|kill)\b|\bSIG(?:KILL|SEGV|ABRT|BUS|ILL)\b|died with <signals|killed by signal",
            r"terminated by signal|received signal|segmentation fault|core dumped|segfault|fatal python error|brokenprocesspool",
            r"terminated abruptly|process pool was|^\s*killed\s*$|line \d+:\s+\d+ (?:killed|aborted|terminated)",
            r"bus error|stack smashing|double free|free\(\): invalid|corrupted (?:size|double)|crashloopbackoff",
            r"restarting failed container|pod .{0,80}(?:evicted|was preempted)|\bevicted\b|node (?:is|was) (?:lost|low on)",
            r"low on resource|liveness probe failed|lease expired|heartbeat|unable to allocate|can't start new thread",
            r"malloc failed|bad_alloc|terminated unexpectedly|taskrun.{0,40}killed|process .{0,60}crashed|worker died",
        ),
        "worker_crashed",
        "yes",
    ),
    # --- media --------------------------------------------------------------------------------
    Sign(
        _words(
            r"does not contain any stream|matches no streams|(?:no|not? find(?: an?)?) audio (?:stream|track|codec)",
            r"file audio codec|without audio|no audio (?:was )?(?:found|in|streams?|data)|has no audio|no sound",
            r"doesn't have any audio|does not have (?:an )?audio|at least one audio stream|audio stream not found",
        ),
        "audio_extraction_failed",
        "no",
        guidance=_SILENT,
    ),
    Sign(
        _words(
            r"(?:ffmpeg|ffprobe|avconv|avprobe)(?:(?!exited).){0,60}(?:not found|not installed|could not be found|no such file)",
            r"no such file or directory: b?['\"]\S{0,80}ff(?:mpeg|probe)|cannot find ff(?:mpeg|probe)|executable .{0,20}ffmpeg",
            r"unknown (?:en|de)coder|unrecognized option|option .{0,60} not found|requested output format .{0,60}not",
            r"unable to find a suitable output format|error splitting the argument|unknown input format|at least one output file",
            r"protocol not found|protocol .{0,60}not on whitelist|(?:automatic )?encoder selection failed|no such filter",
            r"not recognized as an internal or external|command not found|exec format error|executable file not found",
            r"error while loading shared libraries|cannot open shared object|glibc|modulenotfounderror|no module named",
            r"cannot import name|importerror|dyld: |dll load failed|ffmpeg not found|trying to load library",
        ),
        "configuration",
        "after-fix",
        guidance=_TOOL,
    ),
    Sign(
        _words(
            r"moov atom not found|partial file|truncat|file ended prematurely|stream ends prematurely|overread end of atom",
            r"end of file in data|could not find corresponding (?:track|trex)|contradictionary stsc|premature end",
        ),
        "not_media",
        "after-fix",
        guidance="The file is incomplete or damaged: fetch it again; if it comes the same, the source itself is broken.",
    ),
    Sign(
        _words(
            r"invalid data found|could not find codec param|(?:unknown|unsupported|invalid|unrecognized) (?:file|image|media|video) format",
            r"ebml header|invalid as first byte|misdetection possible|not a (?:valid )?(?:video|media|audio|mp4|webm|riff)\b",
            r"does not look like a (?:video|media)|unexpected content.?type|is not media|looks like (?:html|an? (?:image|web))",
            r"no decodable|invalid (?:video|media) file|not an? (?:mp4|webm|media|mpeg)|text/html.{0,30}instead|unrecognized media",
            r"header missing|failed to (?:probe|read frame size|recognize file format)|not a video file|cannot determine format",
            r"only images are available|unsupported media type|no video (?:stream|track)s?\b|file is not a (?:video|media)",
            r"contains no video|is not a video\b|no streams? found|could not open codec|does not contain (?:any )?video",
        ),
        "not_media",
        "no",
    ),
)
