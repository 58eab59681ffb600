"""What the program asks of the platform's API. Errors are those of :mod:`ingestctl.domain.errors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

from ingestctl.domain.errors import ConfigurationError, Conflict, Exit, IngestError, Retryable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ingestctl.domain.source import Source


class ApiUnavailable(IngestError):
    """The platform's API cannot be reached, timed out, or answered with a server error: try later."""

    code = "api_unavailable"
    exit_code = Exit.UNAVAILABLE
    default_cause = "internal"
    default_retryable: ClassVar[Retryable] = "yes"
    default_hint = "Check that the API is up, and INGESTCTL_API_URL. The same command again is safe."


class ApiRefused(ConfigurationError):
    """The platform's API answered and refused the key."""

    code = "api_refused"
    default_hint = "Check INGESTCTL_API_KEY and INGESTCTL_API_URL."


class ApiRejected(Conflict):
    """The platform's API understood and said no: a bad source, or a state that does not allow it."""

    code = "api_rejected"


@dataclass(frozen=True, slots=True)
class Ingested:
    """The answer to ``POST /ingest``. ``replay``: the same external id was answered before, with the same."""

    job_id: str
    video_id: str
    status: str
    payload_version: str
    replay: bool


class PlatformApi(Protocol):
    """The platform's API. Every call has a deadline; only what is safe to repeat is repeated."""

    def ingest(
        self,
        source: Source,
        *,
        external_id: str,
        submitted_by: str = "",
        provider: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Ingested:
        """Submit a source. The same ``external_id`` again gets the first answer, so a lost reply is safe."""
        ...

    def job(self, job_id: str) -> Mapping[str, Any]:
        """One job, in the API's keys (null fields are omitted). NotFound if there is none."""
        ...

    def runs(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """A job's attempts."""
        ...

    def events(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """A job's events."""
        ...

    def close(self) -> None:
        """Release connections. Idempotent."""
        ...
