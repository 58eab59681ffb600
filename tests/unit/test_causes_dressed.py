"""A message means the same in whatever log it stands: behind times, levels and names, in JSON, amid news."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.causes import diagnose
from ingestctl.domain.log_lines import inside, readings

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = Path(__file__).parent.parent / "data" / "causes" / "develop.jsonl"
EVERY = 47  # the whole corpus in every dress takes a minute; a part of it shows as much
LEAST = 0.98

_TRACE = 'Traceback (most recent call last):\n  File "/opt/worker/run.py", line 88, in main\n    step(job)\n'
_BANNER = """ffmpeg version 5.1.6-0+deb12u1 Copyright (c) 2000-2024 the FFmpeg developers
  built with gcc 12 (Debian 12.2.0-14)
Input #0, mov,mp4,m4a,3gp,3g2,mj2, from 'file:/scratch/ab12/source.mp4':
  Duration: 00:00:10.00, start: 0.000000, bitrate: 512 kb/s
  Stream #0:1[0x2](und): Audio: aac (LC) (mp4a / 0x6134706D), 44100 Hz, stereo, fltp, 128 kb/s (default)
"""
_YTDLP = """[debug] yt-dlp version stable@2025.06.09 from yt-dlp/yt-dlp [339614a17] (pip)
[generic] Extracting URL: https://example.com/watch?v=1
[download] Destination: /scratch/ab12/source.mp4
[download]  12.3% of  10.00MiB at  1.20MiB/s ETA 00:08
"""
_FAREWELL = """

12:00:09 Worker media-4: unsubscribing from channel rq:pubsub:media-4
12:00:09 Worker media-4: stopped"""
_NEXT = """
INFO:ingest.worker:job vid_77 started url=http://cdn.example.com/vod/77.mp4
INFO:ingest.worker:downloaded http://cdn.example.com/vod/77.mp4"""
_AFTER = """
2026-01-05 12:00:09,000 ERROR worker: job 7f3a failed after 9.1s
2026-01-05 12:00:09,010 INFO worker: shutting down scratch folder"""

LINES: dict[str, Callable[[str], str]] = {
    "logging": lambda text: f"2026-01-05 12:00:01,123 ERROR worker: {text}",
    "basicConfig": lambda text: f"ERROR:ingest.worker:{text}",
    "bracketed": lambda text: f"[2026-01-05 12:00:01] ERROR - {text}",
    "dashes": lambda text: f"2026-01-05 12:00:01,123 - ingest.worker - ERROR - {text}",
    "loguru": lambda text: f"2026-01-05 12:00:01.123 | ERROR    | ingest.worker:run:88 - {text}",
    "Celery": lambda text: f"[2026-01-05 12:00:01,521: ERROR/ForkPoolWorker-3] {text}",
    "Kubernetes": lambda text: f"2026-01-05T12:00:01.712345678Z stderr F {text}",
    "Compose": lambda text: f"ingest-worker-1  | {text}",
    "structlog": lambda text: f"2026-01-05T12:00:01.123Z [error] job=ab12cd34 {text}",
    "klog": lambda text: f"E0105 12:00:01.123456       1 worker.py:88] {text}",
    "syslog": lambda text: f"Jan  5 12:00:01 host-3 worker[123]: {text}",
    "JSON": lambda text: json.dumps({"level": "error", "msg": text}),
    "logfmt": lambda text: f"time=2026-01-05T12:00:01Z level=error msg={json.dumps(text)}",
    "wrapped": lambda text: f"ingest.errors.JobFailed: job 7f3a failed: {text}",
}
LOGS: dict[str, Callable[[str], str]] = {
    "after a banner": lambda text: _BANNER + text,
    "after yt-dlp's news": lambda text: _YTDLP + text,
    "before a summary": lambda text: text + _AFTER,
    "with a stamp before each line": lambda text: "\n".join(
        f"2026-01-05T12:00:01.712345678Z stderr F {line}" for line in text.split("\n")
    ),
    "before a worker's farewell": lambda text: text + _FAREWELL,
    "before the next job": lambda text: text + _NEXT,
    "in a traceback": lambda text: f"{_TRACE}worker.errors.JobFailed: {text}",
    "before a second traceback": lambda text: f"{text}\n\n{_TRACE}worker.errors.JobFailed: job 7f3a failed",
    "as a program's output": lambda text: f"Command 'x' returned 1: stderr={text.encode()!r}",
    "in a JSON traceback": lambda text: json.dumps({"level": "ERROR", "exception": _TRACE + text}),
}


def _sample(*, one_line: bool) -> list[dict[str, str]]:
    rows = [json.loads(line) for line in CORPUS.read_text(encoding="utf-8").splitlines()]
    known = [row for row in rows if row["cause"] != "internal" and len(row["text"]) < 1200]
    return [row for row in known if not one_line or ("\n" not in row["text"] and len(row["text"]) < 400)][
        ::EVERY
    ]


@pytest.mark.parametrize("dress", [*LINES, *LOGS])
def test_what_a_log_puts_around_a_message_changes_nothing(dress: str, figures: Callable[[str], None]) -> None:
    around = (LINES | LOGS)[dress]
    rows = _sample(one_line=dress in LINES)
    wrong = [
        (row["text"], said.cause, said.evidence)
        for row in rows
        if ((said := diagnose(around(row["text"]))).cause, said.retryable) != (row["cause"], row["retryable"])
    ]
    figures(f"messages {dress}: {len(rows) - len(wrong)} of {len(rows)} told as without it")
    assert len(rows) > 80
    assert len(wrong) <= (1 - LEAST) * len(rows), wrong


@pytest.mark.parametrize("dress", LINES)
def test_news_stays_news(dress: str) -> None:
    if dress == "wrapped":
        return  # that is an error by its wrapper's name
    said = diagnose(LINES[dress]("[download] Destination: Private video about login failed.mp4"))
    assert (said.cause, said.confidence) == ("internal", "low")


def test_a_line_is_read_without_its_prefix_and_with_it() -> None:
    line = "2026-01-05 12:00:01,123 ERROR worker: Encoder not found"
    assert readings(line) == (line, "Encoder not found")
    assert readings("Encoder not found") == ("Encoder not found",)
    assert readings("ERROR: Video gone") == ("ERROR: Video gone",)


def test_only_a_json_log_line_has_lines_inside() -> None:
    assert inside('{"level": "error", "msg": "first\\nsecond"}') == ("first", "second")
    assert inside('worker-1 | {"message": "told"}') == ("told",)
    assert inside("stderr=b'first\\n\\tsecond\\n'") == ("stderr=b'first", " second")
    assert inside("tool failed: one | two | three") == ("tool failed: one", "two", "three")
    assert inside("2026-01-05 12:00:01 | ERROR | worker | told") == ()
    assert inside('{"exc": "one | two | three"}') == ("one", "two", "three")
    for other in ("no JSON", "{'a': 1}", '{"code": 403}', '["msg"]', "{" * 30_000 + "}" * 30_000):
        assert inside(other) == ()


_BUG = (
    'Traceback (most recent call last):\n  File "/yt_dlp/{where}", line 9, in go\n    raise {shown}\n{error}'
)


@pytest.mark.parametrize(
    ("where", "shown", "error", "cause"),
    [
        ("YoutubeDL.py", "Timeout('read timed out')", "KeyError: 'FooPP'", "internal"),
        ("extractor/vimeo.py", "Timeout('read timed out')", "KeyError: 'clip'", "download_blocked"),
        ("YoutubeDL.py", "SameFileError()", "OSError: [Errno 28] No space left on device", "disk_full"),
    ],
)
def test_a_traceback_is_read_by_its_error_and_its_frames_not_by_the_code_it_shows(
    where: str, shown: str, error: str, cause: str
) -> None:
    assert diagnose(_BUG.format(where=where, shown=shown, error=error)).cause == cause
