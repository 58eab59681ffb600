"""Structured log lines: JSON, with ``job_id`` and ``run_id`` on every one, secrets redacted."""

from __future__ import annotations

import logging
import sys
import threading
import time
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.job import Phase
    from ingestctl.domain.redact import Redactor
    from ingestctl.pipeline import RunResult

LOG_FILE = "ingestctl.log"
PROGRESS_EVERY_S = 30.0


def configure(
    level: str, redact: Redactor, *, log_dir: Path | None, to_stderr: bool
) -> structlog.stdlib.BoundLogger:
    """Build the logger: JSON lines to stderr and, if a folder is given, to a file that logrotate may move.

    Records of libraries (botocore, yt-dlp, urllib3) pass the same redaction.
    """

    def redacted(_logger: Any, _method: str, event: dict[str, Any]) -> dict[str, Any]:
        return {k: redact.data(v) for k, v in event.items()}

    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        structlog.processors.format_exc_info,
        redacted,
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(ensure_ascii=True, default=str),
        ],
    )
    root = logging.getLogger("ingestctl")
    root.handlers.clear()
    root.propagate = False
    root.setLevel(level)
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)] if to_stderr else []
    if log_dir is not None:
        log_dir.mkdir(parents=True, exist_ok=True)
        handlers.append(WatchedFileHandler(log_dir / LOG_FILE, encoding="utf-8", delay=True))
    for handler in handlers or [logging.NullHandler()]:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("ingestctl.worker")
    return logger


class LogObserver:
    """Writes a run's life as log lines; progress as one line every 30 s."""

    def __init__(self, logger: structlog.stdlib.BoundLogger) -> None:
        self._logger = logger
        self._lock = threading.Lock()
        self._runs: dict[str, structlog.stdlib.BoundLogger] = {}
        self._told: dict[str, float] = {}

    def run_started(self, job_id: str, run_id: str, attempt: int) -> None:
        """See Observer."""
        with self._lock:
            self._runs[job_id] = self._logger.bind(job_id=job_id, run_id=run_id, attempt=attempt)
        self._of(job_id).info("run_started")

    def phase_started(self, job_id: str, run_id: str, phase: Phase) -> None:
        """See Observer."""
        self._of(job_id).info("phase_started", run_id=run_id, phase=phase.value)

    def bytes_moved(self, job_id: str, done: int, total: int | None) -> None:
        """See Observer."""
        now = time.monotonic()
        with self._lock:
            if now - self._told.setdefault(job_id, now) < PROGRESS_EVERY_S:
                return
            self._told[job_id] = now
        self._of(job_id).info("progress", bytes=done, total_bytes=total)

    def note(self, job_id: str, run_id: str, event: str, **fields: object) -> None:
        """See Observer."""
        self._of(job_id).warning(event, run_id=run_id, **fields)

    def run_ended(self, result: RunResult) -> None:
        """See Observer."""
        fields: dict[str, Any] = {"outcome": result.outcome.value, "duration_s": result.duration_s}
        if result.diagnosis and result.error:
            fields |= {
                "cause": result.diagnosis.cause,
                "error": result.error.message,
                "evidence": result.diagnosis.evidence,
                "retryable": result.diagnosis.retryable,
            }
        logger = self._of(result.job_id)
        (logger.error if result.error else logger.info)("run_ended", **fields)
        with self._lock:
            self._runs.pop(result.job_id, None)
            self._told.pop(result.job_id, None)

    def _of(self, job_id: str) -> structlog.stdlib.BoundLogger:
        with self._lock:
            return self._runs.get(job_id) or self._logger.bind(job_id=job_id)


class Observers:
    """Several observers as one."""

    def __init__(self, *observers: Any) -> None:
        self._observers = observers

    def __getattr__(self, name: str) -> Any:
        def tell(*args: Any, **kwargs: Any) -> None:
            for observer in self._observers:
                getattr(observer, name)(*args, **kwargs)

        return tell
