"""The platform's API over HTTP. Implements :class:`ingestctl.api.base.PlatformApi`."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from ingestctl.api.base import ApiRefused, ApiRejected, ApiUnavailable, Ingested
from ingestctl.domain.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingestctl.domain.source import Source

TRIES = 3
MAX_ANSWER_BYTES = 16 * 2**20
_PASSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered."""


class HttpPlatformApi:
    """A client of the API at ``url`` (which may have a path prefix). Thread-safe.

    Redirects are not followed: the key must not travel to where an answer says. Every request is safe to
    repeat (``POST /ingest`` by its external id), and is repeated a few times within ``timeout_s``.
    """

    def __init__(self, url: str, *, key: str | None = None, timeout_s: float = 15.0) -> None:
        self._base = url.rstrip("/")
        self._timeout_s = timeout_s
        self._headers = {"accept": "application/json", "user-agent": "ingestctl"}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._pool = urllib3.PoolManager(retries=False, maxsize=4)

    def ingest(
        self,
        source: Source,
        *,
        external_id: str,
        submitted_by: str = "",
        provider: str = "",
        metadata: Mapping[str, Any] | None = None,
    ) -> Ingested:
        """See :meth:`PlatformApi.ingest`."""
        where = {"upload_ref": source.uri} if source.is_upload else {"url": source.uri}
        body: dict[str, Any] = {
            "external_id": external_id,
            "source": {"kind": source.kind.value, **where},
        }
        body["source"] |= {k: v for k, v in (("provider", provider), ("submitted_by", submitted_by)) if v}
        if metadata:
            body["metadata"] = dict(metadata)
        answer = self._call("POST", "/ingest", body)
        try:
            return Ingested(
                job_id=_text(answer, "job_id"),
                video_id=_text(answer, "video_id"),
                status=_text(answer, "status"),
                payload_version=str(answer.get("payload_version", "")),
                replay=answer.get("idempotent_replay") is True,
            )
        except (KeyError, AttributeError):
            raise self._nonsense("POST /ingest", json.dumps(answer)) from None

    def job(self, job_id: str) -> Mapping[str, Any]:
        """See :meth:`PlatformApi.job`."""
        answer = self._call("GET", f"/jobs/{quote(job_id, safe='')}")
        if not isinstance(answer, dict):
            raise self._nonsense("GET /jobs/…", json.dumps(answer))
        return answer

    def runs(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """See :meth:`PlatformApi.runs`."""
        return self._list(f"/jobs/{quote(job_id, safe='')}/runs")

    def events(self, job_id: str) -> Sequence[Mapping[str, Any]]:
        """See :meth:`PlatformApi.events`."""
        return self._list(f"/jobs/{quote(job_id, safe='')}/events")

    def close(self) -> None:
        """See :meth:`PlatformApi.close`."""
        self._pool.clear()

    def _list(self, path: str) -> Sequence[Mapping[str, Any]]:
        answer = self._call("GET", path)
        if not isinstance(answer, list) or not all(isinstance(item, dict) for item in answer):
            raise self._nonsense(f"GET {path}", json.dumps(answer))
        return answer

    def _call(self, method: str, path: str, body: object = None) -> Any:
        deadline = time.monotonic() + self._timeout_s
        for attempt in range(1, TRIES + 1):
            try:
                return self._once(method, path, body, deadline)
            except ApiUnavailable as error:
                pause = max(error.retry_after or 0.0, 0.1 * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                if attempt == TRIES or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: object, deadline: float) -> Any:
        left = max(0.1, deadline - time.monotonic())
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, **({"content-type": "application/json"} if data else {})}
        try:
            reply = self._pool.request(
                method,
                self._base + path,
                body=data,
                headers=headers,
                timeout=urllib3.Timeout(total=left),
                redirect=False,
                preload_content=False,
            )
            try:
                raw = _read(reply, deadline)
            finally:
                # Closed, not returned to the pool: an answer that was cut short leaves the rest in it.
                reply.close()
        except (HTTPError, OSError) as error:
            raise ApiUnavailable(
                f"the API at {self._where} does not answer {method} {path}: {type(error).__name__}",
                evidence=str(error)[:300],
            ) from error
        return self._answer(method, path, reply, raw)

    def _answer(self, method: str, path: str, reply: urllib3.BaseHTTPResponse, raw: bytes) -> Any:
        what, status = f"{method} {path}", reply.status
        if 200 <= status < 300:
            try:
                return json.loads(raw)
            except (ValueError, RecursionError):
                raise self._nonsense(what, raw.decode(errors="replace")) from None
        said, hint = _said(raw)
        message = f"the API at {self._where} answered {what} with {status}{f': {said}' if said else ''}"
        if status in _PASSES:
            wait = reply.headers.get("retry-after", "")
            raise ApiUnavailable(message, evidence=hint, retry_after=float(wait) if wait.isdigit() else None)
        if status in (401, 403):
            raise ApiRefused(message)
        if status == 404 and path != "/ingest":
            raise NotFound(message)
        if 300 <= status < 400 or status in (404, 405):
            raise ApiRefused(message, hint="INGESTCTL_API_URL seems not to be the address of the API.")
        raise ApiRejected(message, evidence=hint)

    @property
    def _where(self) -> str:
        parts = urlsplit(self._base)
        return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}"

    def _nonsense(self, what: str, text: str) -> ApiUnavailable:
        return ApiUnavailable(
            f"the API at {self._where} answered {what} with something that is not its contract",
            hint="Check that INGESTCTL_API_URL is the platform's API.",
            evidence=text[:300],
        )


def _text(answer: Any, key: str) -> str:
    value = answer[key] if isinstance(answer, dict) else None
    if not isinstance(value, str) or not value:
        raise KeyError(key)
    return value


def _read(reply: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    chunks, size = [], 0
    while chunk := reply.read1(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise OSError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("the answer came too slowly")
    return b"".join(chunks)


def _said(raw: bytes) -> tuple[str, str | None]:
    """Message and correlation id of the API's error body."""
    try:
        error = json.loads(raw)["error"]
        code, message = str(error.get("code", ""))[:100], str(error.get("message", ""))[:300]
        reference = error.get("correlation_id")
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return "", None
    words = " ".join(word for word in (f"{code}:" if code else "", message) if word)
    return words, f"correlation_id {reference}" if reference else None
