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
    r"|\bserver returned|\bstatus(?:[ _-]?code)?(?: received| of| is| was)?"
    r"|\bresponse(?:[ _-]code)?|<httperror|\btoo many"
    r"|\b(?:backend )?error(?: code)?|\breturned error:?|\breturned|\bunexpected response"
    r"|\btoomanyrequests|\bforbidden|\bunauthorized|client error|server error)[\s:=('\"\[]{0,4}"
    r"([45]\d\d)\b(?! (?:bytes|kb|mb|frames|ms|s)\b)"
    rf"|\b([45]\d\d)(?:\s|: |, )(?:(?:GET|PUT|POST|PATCH|HEAD|DELETE) |client error|server error|slow down|"
    rf"service temporarily|{_REASONS})"
    r"|\(([45]\d\d) [a-z]+_[a-z_]+\)",
    re.IGNORECASE,
)

# A status and its phrase, taken out so that "Not Found" beside 404 does not speak twice.
STATUS_PHRASE = re.compile(rf"{HTTP_STATUS.pattern}|: (?:{_REASONS})\b", re.IGNORECASE)

# The code as botocore, raw XML, minio-py and the Go and Java SDKs print it.
S3_CODE = re.compile(
    r"error (?:occurred )?\((\w+)\)(?: occurred)?(?: when calling the|:)"
    r"|<code>\s?(\w+)\s?</code>"
    r"|\bcode ?[:=] ?(\w+), ?(?:message|resource|request)"
    r"|\bapi error (\w+):|AWSError '(\w+)'"
    r"|error code: (\w+)[;,)]"
    r"|S3::Errors::(\w+)|s3 error: \d{3} \((\w+)\)|request with error code (\w+)",
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
