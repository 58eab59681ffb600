"""How one request to storage is tried again.

botocore's own waits are too short to outlive a server's restart (50 ms at first since 1.43, and anything down
to nothing by chance), so this takes their place: 0.5 s, then twice as long each time, give or take a quarter.
The default four tries so outlast an outage of two seconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, cast

from ingestctl.domain.errors import StorageFull, StorageUnavailable
from ingestctl.storage.s3_errors import ours

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 20.0


def retry_requests(client: S3Client, max_attempts: int) -> None:
    """Try each of ``client``'s requests up to ``max_attempts`` times where its failure may pass.

    The client itself must be made to try once. Its bodies are sent again from their beginning.
    """

    def wait_s(*, attempts: int, response: Any, caught_exception: Any, **_: Any) -> float | None:
        if attempts >= max_attempts:
            return None
        return _wait_s(attempts, _failure(response, caught_exception))

    client.meta.events.register("needs-retry.s3", cast(Any, wait_s), unique_id="ingestctl-retry")


def _failure(response: Any, caught: Exception | None) -> Exception | None:
    """What went wrong, as the client would raise it; None for a good reply."""
    from botocore.exceptions import ClientError

    if response is None:
        return caught
    http, parsed = response
    return ClientError(parsed, "request") if http.status_code >= 300 else None


def _wait_s(attempts: int, failure: Exception | None) -> float | None:
    error = ours(failure, "a request") if failure else None
    if not isinstance(error, StorageUnavailable) or isinstance(error, StorageFull):
        return None
    wait = FIRST_WAIT_S * 2.0 ** (attempts - 1) * random.uniform(0.75, 1.25)  # noqa: S311 - jitter
    return min(LONGEST_WAIT_S, max(wait, error.retry_after or 0.0))
