"""Why did it fail, and what now: the runbook's causes and :func:`diagnose`.

A problem is read line by line (:mod:`ingestctl.domain.cause_reading`), without what a log put
around its lines (:mod:`ingestctl.domain.log_lines`). Each line is asked
for structure first (SQLSTATE, S3 code, HTTP status), then for words
(:mod:`ingestctl.domain.service_words` and its neighbours). Who is talking counts: storage
and database own their trouble (a 404 from storage says nothing about the source), and
trouble in unknown words from a known side is that side's, with low confidence. A full disk
beats everything, a telling line beats a vague one, an error beats a warning, news and tries
that were repeated count last, and among equals the last line wins. What nothing speaks for
is ``internal`` with low confidence: never a guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ingestctl.domain.cause_reading import Finding, read, side_of
from ingestctl.domain.cause_signs import TROUBLE
from ingestctl.domain.errors import IngestError, Retryable
from ingestctl.domain.exception_chain import describe, links, retry_after
from ingestctl.domain.log_lines import AROUND, CODE, FRAME, inside, lines, readings, tails

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingestctl.domain.cause_signs import Side
    from ingestctl.domain.log_lines import Line


@dataclass(frozen=True, slots=True)
class Cause:
    """A row of the runbook's table. ``next`` is the command to type, JOB standing for the job's id."""

    code: str
    title: str
    retryable: Retryable
    guidance: str
    next: str


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One problem's cause. ``evidence`` is the deciding line (not redacted), ``retry_after`` seconds."""

    cause: str
    title: str
    retryable: Retryable
    evidence: str
    guidance: str
    next: str
    confidence: Literal["high", "low"]
    retry_after: float | None = None


_ROWS = (
    Cause(
        "download_blocked",
        "Download blocked",
        "after-fix",
        "The source refused this worker (login, region, robot check, or an extractor that is too old). "
        "Update yt-dlp first; then try cookies or another egress address.",
        "ingestctl doctor",
    ),
    Cause(
        "rate_limited",
        "Rate limited by the source",
        "yes",
        "The source asks for fewer requests. Let the cool-down pass before retrying; "
        "many such jobs mean a lower rate.",
        "ingestctl retry JOB",
    ),
    Cause(
        "download_timeout",
        "Download timed out or broke off",
        "yes",
        "The connection to the source failed, stalled or was cut, "
        "or the source answered with a server error. "
        "It usually works later.",
        "ingestctl retry JOB",
    ),
    Cause(
        "audio_extraction_failed",
        "Audio extraction failed",
        "after-fix",
        "ffmpeg could not make the audio from this video. "
        "Check that the stored video decodes before retrying.",
        "ingestctl verify-artifacts JOB --level decode",
    ),
    Cause(
        "storage_error",
        "Object storage error",
        "yes",
        "Object storage failed or refused. "
        "Check that it is up and that the bucket and credentials are right.",
        "ingestctl doctor",
    ),
    Cause(
        "database_error",
        "Database error",
        "yes",
        "The database failed or refused. Check that it is up, reachable and migrated.",
        "ingestctl doctor",
    ),
    Cause(
        "invalid_source",
        "Invalid or unavailable source",
        "no",
        "There is no video to fetch under this address (removed, private, protected or never there). "
        "Retrying will not help: ask for another source.",
        "ingestctl inspect JOB",
    ),
    Cause(
        "not_media",
        "Not a media file",
        "no",
        "What was fetched cannot be read as video: a page, an image, or a damaged file.",
        "ingestctl inspect JOB",
    ),
    Cause(
        "worker_crashed",
        "Worker crashed",
        "yes",
        "The worker died or was killed (most often for memory). Retry once; if it dies again, "
        "raise its memory limit.",
        "ingestctl retry JOB",
    ),
    Cause(
        "disk_full",
        "Disk full",
        "after-fix",
        "There was no space left for scratch files, the database or stored objects. Free space, then retry.",
        "ingestctl doctor",
    ),
    Cause(
        "configuration",
        "Configuration problem",
        "after-fix",
        "A setting, permission or program of the worker is wrong or missing. Correct it, then retry.",
        "ingestctl doctor",
    ),
    Cause(
        "internal",
        "Unknown or internal error",
        "after-fix",
        "This message is not known. Read the whole log of the job, "
        "and escalate if it does not explain itself.",
        "ingestctl escalate",
    ),
)
CAUSES: Mapping[str, Cause] = MappingProxyType({row.code: row for row in _ROWS})

_HEAD, _TAIL = 16_000, 32_000  # characters of a long text that are read
_LINE, _EVIDENCE = 1_500, 500
_ANSI = re.compile(r"\x1b(?:\[[0-9;?]{0,20}[ -/]?[@-~]|[@-_])")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NOISE = re.compile(
    r"^\s*(?:\[debug\]|(?:Error: )?Command failed: (?:yt-dlp|youtube-dl)\b|"
    r"File \"(?!.{0,300}ssl\.py\", line \d+, in (?:create_default|load_))|\[SQL: |"
    r"\[parameters: |frame=|.{0,40}\bWorker \S{1,80}: (?:un)?subscribing\b"
    r"|\(Background on|(?:DETAIL: (?!.{0,200}No space left)|(?:CONTEXT|QUERY|STATEMENT): )|Stream #\d|"
    r"Metadata:"
    r"|\[[\w:.+-]{2,40}\] [^\s:]{1,80}: (?i:downloading|extracting|requesting|verifying|refetching|"
    r"setting up|"
    r"logging|logged|retrieving|fetching|checking|solving|querying|decrypting|"
    r"sleeping)\b(?!.{0,600}(?i:error|fail|"
    r"unable))"
    r"|\[download\] (?:Destination: |[^:]{1,300} has already been downloaded|Downloading (?:item|video|"
    r"playlist) )"
    r"|\[(?:ExtractAudio|Merger|Metadata|Fixup\w{1,20}|MoveFiles)\] (?!.{0,400}\berror)"
    r"|(?i:finished|deleting|downloaded|downloading|starting|started|saved|saving|uploading|uploaded) "
    r"(?!.{0,600}(?i:error|fail|exception|unable|denied|timed out|refused|not found)))"
)
_WARNING = re.compile(
    r"\bwarn(?:ing)?\b|^\W*\[?(?:info|debug|notice)\b|\]\[(?:info|debug)\]|\bretrying\b|\bskipping\b",
    re.IGNORECASE,
)
_TRIED = re.compile(
    r"\bretrying\b.{0,20}\((\d{1,3})/(?!\1\))\d{1,3}\)|"
    r"\(attempt (\d{1,3}) of (?!\2\))\d{1,3}\)|"
    r"\b(?:trying (?:the )?(?:backup|next|another|other)|falling back|will (?:retry|try again))\b",
    re.IGNORECASE,
)
"""An early try, of which the lines after it tell the end."""
_LEVEL = re.compile(r"^.{0,60}\b(?:INFO|DEBUG|TRACE|LOG(?=:))\b|^\[info\]|^level=(?:info|debug)\b")
_TOLD = re.compile(
    TROUBLE
    + r"|timed? ?out|kill|memory|reset|expire|lost|slow|limit|full\b|space|crash|exited|signal|terminat|"
    r"shut|lock|retry|unavailable|closed",
    re.IGNORECASE,
)
"""What a line of level INFO must say to be more than news."""


def diagnose(problem: str | BaseException) -> Diagnosis:
    """The cause of an error message (one line or a whole log) or of an exception. Never raises."""
    if isinstance(problem, str):
        return _diagnose_text(problem)
    chained = list(links(problem))
    diagnosis = _diagnose_text("\n".join(describe(link) for link in chained), retry_after(chained))
    known = next((link for link in chained if isinstance(link, IngestError)), None)
    if known is None or diagnosis.cause == "disk_full":
        return diagnosis
    return _trust(known, diagnosis)


def _trust(error: IngestError, diagnosis: Diagnosis) -> Diagnosis:
    """Our own error knows its cause; the words only refine the guidance where they agree."""
    if error.cause not in CAUSES or (error.cause == "internal" and diagnosis.cause != "internal"):
        return diagnosis
    agrees = (diagnosis.cause, diagnosis.retryable) == (error.cause, error.retryable)
    cause = CAUSES[error.cause]
    return Diagnosis(
        cause=cause.code,
        title=cause.title,
        retryable=error.retryable,
        evidence=_evidence(error.evidence or error.message),
        guidance=diagnosis.guidance if agrees else error.hint or cause.guidance,
        next=error.next or _next(cause, error.retryable),
        confidence="high" if cause.code != "internal" else "low",
        retry_after=error.retry_after if error.retry_after is not None else diagnosis.retry_after,
    )


# --- lines are asked for their finding ---------------------------------------------------------------


def _diagnose_text(text: str, wait: float | None = None) -> Diagnosis:
    if len(text) > _HEAD + _TAIL:
        text = text[:_HEAD] + "\n" + text[-_TAIL:]
    cleaned = (replace(line, text=_clean(line.text), outer=_clean(line.outer)) for line in lines(text))
    told = [line for line in cleaned if line.text]
    common: Side = next((side for line in reversed(told) if (side := _shared_side(line))), "")
    best: tuple[tuple[int, bool, int], Finding, str] | None = None
    for number, line in enumerate(told):
        news = _LEVEL.match(line.text) or _LEVEL.match(line.outer)
        found = None if line.most == CODE else _read(line, "" if news else common)
        if found is None or (best and best[1].coded and not found.coded and best[1].cause == found.cause):
            continue
        aside = bool(news or _WARNING.search(line.text) or _WARNING.search(line.outer))
        remark = aside and found.cause == "configuration"  # "WARNING: no JavaScript runtime": not yet the end
        weight = min(found.weight, line.most, 1 if remark or _TRIED.search(line.text) else 9)
        rank = (weight, not aside, number)
        if best is None or rank >= best[0]:
            best = (rank, found, line.text)
    if best is None:
        return _result(Finding("internal", "after-fix", sure=False), told[-1].text if told else "", wait)
    return _result(best[1], best[2], wait)


def _shared_side(line: Line) -> Side:
    """Whose text this is, as far as the line shows. A bug of yt-dlp is a source's only in an extractor."""
    side = side_of(line.text) if line.most != CODE else ""
    own_frame = side == "source" and FRAME.match(line.text) and "/extractor/" not in line.text
    return "" if own_frame else side


def _read(line: Line, common: Side) -> Finding | None:
    """What a line says without what the log put before it, or as it stands where that says nothing.

    None of news.
    """
    told = readings(line.text)
    held = inside(line.text) if line.most == AROUND else ()
    if any(_is_news(text) for text in told) or (held and all(_is_news(text) for text in held)):
        return None
    side = side_of(line.text) or common
    found = next((finding for text in reversed(told) if (finding := read(text, side))), None)
    return found or next((finding for text in tails(told[-1]) if (finding := read(text, side))), None)


def _is_news(line: str) -> bool:
    """Progress, echoes and what a program says while all is well."""
    return bool(_NOISE.match(line)) or bool(
        _LEVEL.match(line) and not _TOLD.search(line) and " @ " not in line
    )


def _clean(line: str) -> str:
    if len(line) > _LINE:  # what decides is said first or last
        line = f"{line[:900]} … {line[-600:]}"
    return _CONTROL.sub(" ", _ANSI.sub("", line)).strip()


def _evidence(text: str) -> str:
    line = " ".join(_clean(text).split())
    return line if len(line) <= _EVIDENCE else line[: _EVIDENCE - 1] + "…"


def _result(found: Finding, line: str, wait: float | None) -> Diagnosis:
    cause = CAUSES[found.cause]
    return Diagnosis(
        cause=cause.code,
        title=cause.title,
        retryable=found.retryable,
        evidence=_evidence(line),
        guidance=found.guidance or cause.guidance,
        next=_next(cause, found.retryable),
        confidence="high" if found.sure else "low",
        retry_after=wait,
    )


def _next(cause: Cause, retryable: Retryable) -> str:
    """A cause that passes by itself is retried, whatever the family usually needs."""
    return "ingestctl retry JOB" if retryable == "yes" else cause.next
