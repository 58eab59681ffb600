"""The one place where botocore's errors become ours.

Codes: the S3 API reference's list of error codes, and what SeaweedFS and MinIO answer in their place.
Messages are written here; the server's own code and words are kept as evidence. Neither holds a
signed URL: botocore's connection errors, which quote the URL, are named by their class only.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingestctl.domain.errors import (
    BucketMissing,
    ConfigurationError,
    Conflict,
    IngestError,
    InvalidPayload,
    ObjectMissing,
    StorageFull,
    StorageRefused,
    StorageThrottled,
    StorageUnavailable,
    UploadLost,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_Kind = type[IngestError]
_FAMILIES: tuple[tuple[_Kind, str, str], ...] = (
    (
        StorageRefused,
        "storage refused the credentials for {}",
        "InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken InvalidToken TokenRefreshRequired "
        "AuthorizationHeaderMalformed InvalidSecurity NotSignedUp",
    ),
    (StorageRefused, "storage refused the time of the request for {}: set the clock", "RequestTimeTooSkewed"),
    (StorageRefused, "storage refused access to {}", "AccessDenied AllAccessDisabled AccountProblem"),
    (BucketMissing, "the bucket of {} does not exist", "NoSuchBucket"),
    (ObjectMissing, "there is no object {}", "NoSuchKey"),
    (UploadLost, "the upload session of {} is gone", "NoSuchUpload"),
    (
        StorageFull,
        "storage has no space left for {}",
        "InsufficientStorage QuotaExceeded XMinioStorageFull XMinioAdminBucketQuotaExceeded",
    ),
    (
        StorageThrottled,
        "storage asked to slow down for {}",
        "SlowDown SlowDownRead SlowDownWrite Throttling ThrottlingException TooManyRequests",
    ),
    (
        StorageUnavailable,  # damaged on the way, or a conflict with a request still running: again later
        "storage failed for {}",
        "InternalError RequestTimeout OperationAborted ConditionalRequestConflict "
        "BadDigest InvalidDigest XAmzContentSHA256Mismatch XAmzContentChecksumMismatch",
    ),
    (
        InvalidPayload,
        "storage cannot hold an object named {}",
        "KeyTooLongError KeyTooLong InvalidURI InvalidBucketName",
    ),
)
_BY_CODE = {code: (kind, text) for kind, text, codes in _FAMILIES for code in codes.split()}
_BY_STATUS: dict[int, tuple[_Kind, str]] = {
    401: _BY_CODE["InvalidAccessKeyId"],
    403: _BY_CODE["AccessDenied"],
    409: (Conflict, "storage holds something else where {} belongs"),
    412: (Conflict, "storage holds something else where {} belongs"),
    429: _BY_CODE["SlowDown"],
    503: _BY_CODE["SlowDown"],
    507: _BY_CODE["InsufficientStorage"],
}


def code_of(error: Exception) -> str:
    """The server's error code: a word, or the HTTP status where the reply had no body. '' if none."""
    return str(_response(error).get("Error", {}).get("Code", ""))


def status_of(error: Exception) -> int:
    """The reply's HTTP status; 0 if there was no reply."""
    return int(_response(error).get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)


def is_precondition(error: Exception) -> bool:
    """Whether a condition we set (If-Match, If-None-Match) did not hold."""
    return status_of(error) == 412 or code_of(error) == "PreconditionFailed"


def is_unsupported(error: Exception) -> bool:
    """Whether the server does not know a header or operation we used."""
    return status_of(error) == 501 or code_of(error) == "NotImplemented"


def is_missing(error: Exception) -> bool:
    """Whether the reply is a 404 about the object or the bucket."""
    return status_of(error) == 404


@contextlib.contextmanager
def s3_errors(what: object) -> Iterator[None]:
    """Turn whatever botocore raises in the block, about ``what``, into ours."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (ClientError, BotoCoreError, HTTPClientError, ResponseParserError) as error:
        raise ours(error, what) from error


def ours(error: Exception, what: object) -> IngestError:
    """Our error for one of botocore's, met in a request about ``what``."""
    from botocore.exceptions import ClientError

    return _answered(error, what) if isinstance(error, ClientError) else _unanswered(error, what)


def _answered(error: Exception, what: object) -> IngestError:
    code, status = code_of(error), status_of(error)
    words = " ".join(str(_response(error).get("Error", {}).get("Message", "")).split())[:300]
    if code in _BY_CODE:
        kind, text = _BY_CODE[code]
    elif status >= 500:
        kind, text = _BY_STATUS.get(status, _BY_CODE["InternalError"])
    else:
        kind, text = _BY_STATUS.get(status, (StorageRefused, "storage did not accept the request for {}"))
    evidence = f"{code}: {words} (HTTP {status})"
    message = text.format(what).replace("the bucket of bucket ", "bucket ")
    return kind(message, evidence=evidence, retry_after=_retry_after(error))


def _unanswered(error: Exception, what: object) -> IngestError:
    from botocore import exceptions as boto
    from botocore.parsers import ResponseParserError

    name = type(error).__name__
    if isinstance(
        error,
        boto.NoCredentialsError
        | boto.PartialCredentialsError
        | boto.CredentialRetrievalError
        | boto.TokenRetrievalError
        | boto.NoAuthTokenError,
    ):
        return StorageRefused(f"no usable storage credentials for {what}", evidence=name)
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError | boto.IncompleteReadError):
        return StorageUnavailable(
            f"storage{_endpoint(error)} could not be reached, or did not answer, for {what}", evidence=name
        )
    if isinstance(error, ResponseParserError):
        return StorageUnavailable(
            f"what answered for {what} does not speak S3",
            hint="Look at S3_ENDPOINT, and at any proxy before it, with `ingestctl doctor`.",
            evidence=str(error)[:300],
        )
    if isinstance(error, boto.ParamValidationError):
        return InvalidPayload(f"storage cannot hold an object named {what}", evidence=str(error)[:300])
    return ConfigurationError(
        f"the storage settings do not work for {what}", evidence=f"{name}: {error}"[:300]
    )


def _endpoint(error: Exception) -> str:
    """Where the request went, without its path, query or credentials."""
    url = urlsplit(str(getattr(error, "kwargs", {}).get("endpoint_url") or ""))
    return f" at {url.scheme}://{url.netloc.rpartition('@')[2]}" if url.netloc else ""


def _retry_after(error: Exception) -> float | None:
    value = _response(error).get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("retry-after", "")
    return float(value) if value.isdigit() else None


def _response(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return response if isinstance(response, dict) else {}
