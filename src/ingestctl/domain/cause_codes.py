"""Codes by which causes are known: HTTP statuses, S3 codes, SQLSTATEs.

Data for :mod:`ingestctl.domain.causes`. Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestctl.domain.errors import Retryable

# What an HTTP status from a source means; other 4xx are download_blocked, other 5xx download_timeout.
SOURCE_STATUS: dict[int, tuple[str, Retryable]] = {
    404: ("invalid_source", "no"),
    407: ("configuration", "after-fix"),  # it is the proxy that asks
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
_SAYS_STATUS = (
    r"\bhttps?(?:/\d(?:\.\d)?)?(?:[ _-]?(?:client|server))?(?:[ _-]?(?:error|status|code|"
    r"response))?(?:[ _-]?code)?",
    r"\bserver returned|status(?:[ _-]?code)?(?: received| of| is| was| returned)?",
    r"\bresponse(?:[ _-]code)?|<httperror|\btoo many|\bgot(?: an?)?|\bcode",
    r"\b(?:backend )?error(?: code)?|\breturned error:?|\b(?:returned|replied|responded|"
    r"answered)(?: with)?(?: an?)?",
    r"\bunexpected response|\btoomanyrequests|\bforbidden|\bunauthorized|client error|server error",
    r"does not indicate success|clientresponseerror|\bfailed(?: with)?",
)
_AROUND_STATUS = (
    rf"(?<![\d:][,.])\b([45]\d\d)(?:\s|: |, |, message=['\"]|\s?\()"
    rf"(?:(?:GET|PUT|POST|PATCH|HEAD|DELETE) |client error|"
    rf"server error|slow down|service temporarily|http error\b|error\b|{_REASONS})",
    r"(?<![\d:][,.])\b([45]\d\d) <(?:!doctype|html|head|\?xml)",
    r"(?<![\d:][,.])\b(4\d\d|50\d) from (?:the )?(?:source|origin|cdn|server|upstream)\b",
    r"\(([45]\d\d) [a-z]+_[a-z_]+\)",
    r"\b([45]\d\d) [a-z]+_[a-z_]+\b",
)
HTTP_STATUS = re.compile(
    rf"(?:{'|'.join(_SAYS_STATUS)})['\"]?[\s:=('\"\[]{{0,4}}([45]\d\d)\b(?! (?:bytes|kb|mb|frames|ms|s)\b|"
    rf"\.\d|%)"
    rf"|{'|'.join(_AROUND_STATUS)}",
    re.IGNORECASE,
)

# A status and its phrase, taken out so that "Not Found" beside 404 does not speak twice.
STATUS_PHRASE = re.compile(rf"{HTTP_STATUS.pattern}|: (?:{_REASONS})\b", re.IGNORECASE)

# The code as botocore, raw XML, JSON, minio-py and the Go and Java SDKs print it.
S3_CODE = re.compile(
    r"error (?:occurred )?\((\w+)\)(?: occurred)?(?: when calling the|:)"
    r"|<code>\s?(\w+)\s?</code>"
    r"|\bcode['\"]? ?[:=] ?['\"]?(\w+)['\"]?, ?['\"]?(?:message|resource|request)"
    r"|\bapi error (\w+):|AWSError '(\w+)'"
    r"|error ?code: ?(\w+)\b|request error \[(\w+)\]"
    r"|S3::Errors::(\w+)|s3 error: \d{3} \((\w+)\)|request with error code (\w+)",
    re.IGNORECASE,
)
# A code as a bare word, read only where storage speaks and only when it is a known one.
S3_WORD = re.compile(r"\b[A-Za-z][A-Za-z_]{5,50}\b")
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
        "errtoomanyrequest",
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
        "md5mismatch",
        "containerbeingdeleted",
        "invalidpart",
        "invalidblocklist",
        "incompletebody",
        "nosuchupload",
        "xminioservernotinitialized",
        "xminiobackenddown",
        "xminioinsufficientwritequorum",
        "xminiowritequorum",
        "xminioreadquorum",
        "xminioinsufficientreadquorum",
        "xamzcontentsha256mismatch",
        "conditionalrequestconflict",
        "serverbusy",
        "busy",
        "requestcanceled",
        "clientdisconnected",
        "operationtimedout",
        "toobusy",
        "ratelimitexceeded",
        "userratelimitexceeded",
        "backenderror",
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
        "storagecapexceeded",
        "accountquotaexceeded",
    ]
)

# As drivers spell it, as `\set VERBOSITY` and log_error_verbosity print it, and as Npgsql and node do.
SQLSTATE = re.compile(
    r"\bsql ?state(?: code)?[\s:=(\"'\[]{0,4}([0-9A-Z]{5})\b"
    r"|(?-i:\b(?:ERROR|FATAL|PANIC|WARNING): {2}([0-9A-Z]{5}): )"
    r"|(?:PostgresException \(0x\w{8}\)|PostgresError): ([0-9A-Z]{5}):"
    r"|PostgresError.{0,40}\bcode[\"']?: ?[\"']([0-9A-Z]{5})\b"
    r"|(?-i:'C': '([0-9A-Z]{5})')"
    r"|(?-i:\bcode: '([0-9]{2}[0-9A-Z][0-9]{2})')",
    re.IGNORECASE,
)
# Of PostgreSQL's appendix A what passes by itself: connection, rollback, resources, locks.
SQLSTATE_RETRY = (
    *("08", "25P03", "25P04", "40", "53000", "53200", "53300", "55006", "55P03"),
    *("57000", "57014", "57P01", "57P02", "57P03", "57P05", "72000"),
)
SQLSTATE_FULL = "53100"
# The same conditions as psycopg and asyncpg name their classes.
CONDITION_RETRY = re.compile(
    r"(?:psycopg2?\.errors|asyncpg\.exceptions)\.(?:ConnectionException|ConnectionFailure|"
    r"ConnectionDoesNotExist|"
    r"ConnectionTimeout|SqlclientUnable\w+|SqlserverRejected\w+|ClientCannotConnect|ConnectionRejection|"
    r"TransactionResolutionUnknown|"
    r"ProtocolViolation|TransactionRollback|SerializationFailure|Serialization|StatementCompletionUnknown|"
    r"DeadlockDetected|InsufficientResources|OutOfMemory|TooManyConnections|"
    r"ObjectInUse(?!.{0,40}currently open)|LockNotAvailable|"
    r"OperatorIntervention|QueryCancell?ed|AdminShutdown|CrashShutdown|CannotConnectNow|IdleSessionTimeout|"
    r"IdleInTransactionSessionTimeout|TransactionTimeout|SnapshotTooOld|"
    r"TransactionIntegrityConstraintViolation)(?:Error)?\b"
)
