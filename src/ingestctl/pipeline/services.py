"""What the pipeline works with, and its two kinds of patience."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, stop_after_delay
from tenacity.wait import wait_exponential_jitter

from ingestctl.domain.errors import DatabaseUnavailable, SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestctl.db.base import JobStore
    from ingestctl.domain.redact import Redactor
    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import Fetcher, MediaTool
    from ingestctl.pipeline.model import Observer, Options
    from ingestctl.storage.base import Storage

T = TypeVar("T")

DB_PATIENCE_SHARE = 0.5
"""Share of the lease that one call waits for a database that is away: less than the watchdog's."""


@dataclass(frozen=True, slots=True)
class Services:
    """The adapters behind their contracts, the options, and who is told."""

    store: JobStore
    storage: Storage
    fetcher: Fetcher
    media: MediaTool
    options: Options
    observer: Observer
    redact: Redactor

    def patient(self, call: Callable[[], T], stop: Stop) -> T:
        """Make a database call, waiting out a short absence of the database."""
        return Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, DatabaseUnavailable)),
            stop=stop_after_delay(self.options.lease_s * DB_PATIENCE_SHARE),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2),
            sleep=stop.wait,
            reraise=True,
        )(call)

    def patient_fetch(
        self, fetch: Callable[[], T], stop: Stop, before_retry: Callable[[BaseException, float], None]
    ) -> T:
        """Fetch, and again (bounded, exponential with jitter) where the source's failure may pass.

        A ``Retry-After`` is respected when it is short enough to wait for; a longer one ends the attempt.
        """
        options = self.options

        def may_pass(error: BaseException) -> bool:
            return (
                isinstance(error, SourceFailed)
                and error.retryable == "yes"
                and (error.retry_after or 0.0) <= options.retry_max_s
            )

        backoff = wait_exponential_jitter(multiplier=options.retry_base_s, max=options.retry_max_s)

        def wait(state: RetryCallState) -> float:
            return max(backoff(state), getattr(_error(state), "retry_after", None) or 0.0)

        return Retrying(
            retry=retry_if_exception(may_pass),
            stop=stop_after_attempt(options.retry_attempts),
            wait=wait,
            sleep=stop.wait,
            before_sleep=lambda state: before_retry(_error(state), state.upcoming_sleep),
            reraise=True,
        )(fetch)


def _error(state: RetryCallState) -> BaseException:
    error = state.outcome.exception() if state.outcome else None
    return error or RuntimeError("retried without an error")
