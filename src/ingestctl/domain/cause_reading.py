"""What one line says: its speaker, its codes, then its words.

Structure is asked first (SQLSTATE, S3 code, HTTP status), then the table of words, in order.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ingestctl.domain.cause_codes import (
    CONDITION_RETRY,
    HTTP_STATUS,
    S3_CODE,
    S3_FULL,
    S3_RETRY,
    S3_WORD,
    SOURCE_STATUS,
    SQLSTATE,
    SQLSTATE_FULL,
    SQLSTATE_RETRY,
    STATUS_PHRASE,
)
from ingestctl.domain.cause_signs import OWN, SIDES, Side
from ingestctl.domain.common_words import COMMON_SIGNS
from ingestctl.domain.media_words import MEDIA_SIGNS
from ingestctl.domain.service_words import SERVICE_SIGNS
from ingestctl.domain.setting_words import SETTING_SIGNS
from ingestctl.domain.source_words import SOURCE_SIGNS, UPDATE
from ingestctl.domain.worker_words import WORKER_SIGNS

if TYPE_CHECKING:
    from ingestctl.domain.errors import Retryable

SIGNS = (*SERVICE_SIGNS, *WORKER_SIGNS, *SETTING_SIGNS, *MEDIA_SIGNS, *SOURCE_SIGNS, *COMMON_SIGNS)

_URL = re.compile(r"\b(?:https?|s3|rtmp)://[^\s'\"<>)]+", re.IGNORECASE)
_STATUS_PAGE = re.compile(r"https?://(?:httpstatuses\.com|developer\.mozilla\.org/\S{1,60})/([45]\d\d)\b")
"""Where httpx sends its readers for the status that it does not name again."""
_NO_STATUS = re.compile(r"bad status ?line|expected http/|in chunk size", re.IGNORECASE)
"""A reply that is no HTTP, to which a client has given a status of its own."""
_FINE = re.compile(
    r"\b(?:0|no|without(?: any)?) (?:errors?|failures?|warnings?|problems?|failed)\b|\b(?:errors?|failed|"
    r"failures?)[:=] ?0\b",
    re.IGNORECASE,
)
"""Words of trouble in a line that says all is well."""
_MEDIA = re.compile(
    r"(?:^\W*(?:error\W{1,4})?|\b(?:this|the|that|no|your|these|requested) )(?:\w+ ){0,2}(?:video|vod|"
    r"live ?stream|stream|"
    r"episode|track|song|playlist|channel|clip|broadcast|tweet|post|reel|premiere|podcast|movie|content|"
    r"event)s?\b"
    r"|\b(?:this|the|that|no|your) (?:\w+ )?(?:account|profile|url|link|user)s?\b",
    re.IGNORECASE,
)
_REPORTED = re.compile(r"ERROR: (?=\S)")
"""How yt-dlp and youtube-dl begin an error of a source, with or without its extractor's name."""
_SENTENCE = re.compile(r"ERROR: (?=[A-Z\"'])")
"""The same, where it is a sentence: other programs say "ERROR: failed to ..." too."""
_BUG = re.compile(
    r"^(?!.{0,200}\b(?:(?:unsupported|invalid) url(?::| protocol)|said:|there's no video in))"
    r".{0,1500}please report this (?:issue|bug)",
    re.IGNORECASE,
)
"""What they add when they did not expect the error: the extractor is at fault, not the address."""
_PASSES = re.compile(r"(?<!name and )(?:try|retry) (?:again|later)|maintenance|temporarily", re.IGNORECASE)
"""What a server says beside a code that is not known, when the same request will do later."""
_GATEWAY = re.compile(r"5\d\d|badgateway|gatewaytimeout")
"""Codes that come from what stands before the store."""
_PUZZLED = re.compile(
    r"unable to|failed to|could not be|cannot|can't|missing|unexpected|unsupported|streamable|"
    r"encountered an error|reported error|an unknown error",
    re.IGNORECASE,
)
"""What an extractor says when the page is not what it knows."""
_PYTHON = re.compile(r"\b(?:Attribute|Key|Type|Index|Name|Assertion|UnboundLocal)Error\b")


@dataclass(frozen=True, slots=True)
class Finding:
    """A line's cause. ``weight`` is its sign's; ``sure`` becomes the confidence."""

    cause: str
    retryable: Retryable
    weight: int = 2
    guidance: str = ""
    sure: bool = True
    coded: bool = False
    """Told by an S3 code or SQLSTATE: the words that follow on the next lines do not overrule it."""


def read(line: str, common: Side) -> Finding | None:
    """What one line says, or None. Structure speaks before words, a full disk before both."""
    plain = _STATUS_PAGE.sub(r"HTTP status \1", line.split("[SQL:")[0])
    plain = _FINE.sub("", _URL.sub("URL", plain)).replace("’", "'").replace("‘", "'")
    own = side_of(line)
    side = own or common
    if SIGNS[0].words.found_in(plain):
        return Finding(SIGNS[0].cause, SIGNS[0].retryable, SIGNS[0].weight)
    found = _read_codes(plain, side) or (_read_words(plain, own) if own else _read_unsigned(plain, common))
    status = None if _NO_STATUS.search(plain) else HTTP_STATUS.search(plain)
    if found is not None and _is_doubted(found) and status is None and _BUG.search(plain):
        return Finding("download_blocked", "after-fix", found.weight, UPDATE, sure=False)
    if status is None or (found is not None and found.weight >= 2 and found.cause not in _GENERIC):
        return found
    return _read_status(int(next(group for group in status.groups() if group)), side, plain) or found


def _is_doubted(found: Finding) -> bool:
    """Whether an extractor that does not understand the page cannot tell this cause."""
    return found.cause == "not_media" or (found.cause, found.retryable) == ("invalid_source", "no")


_GENERIC = frozenset(
    {"download_timeout", "download_blocked", "invalid_source", "audio_extraction_failed", "rate_limited"}
)
"""Causes whose words a plain HTTP status overrules: 'Unable to download webpage: HTTP Error 404'."""


def _read_codes(line: str, side: Side) -> Finding | None:
    if found := SQLSTATE.search(line):
        state = next(group for group in found.groups() if group).upper()
        if state == SQLSTATE_FULL:
            return Finding("disk_full", "after-fix", 3)
        words = _read_words(line, "database") if state.startswith("08") else None
        if words is not None and words.weight > 1:
            return words  # libpq files a refused password under "connection failure" too
        passes = state.startswith(SQLSTATE_RETRY)
        return Finding("database_error", "yes" if passes else "after-fix", coded=True)
    if CONDITION_RETRY.search(line):
        words = _read_words(line, "database")
        if words is not None and words.weight > 1 and words.cause == "database_error":
            return words
        return Finding("database_error", "yes", coded=True)
    return _read_s3(line) if side == "storage" else None


def _read_s3(line: str) -> Finding | None:
    found = S3_CODE.search(line)
    told = [next(group for group in found.groups() if group)] if found else []
    if told and told[0].lower() in {"null", "none", "unknown", "unknownexception"}:
        found, told = None, []
    for number, word in enumerate([*told, *S3_WORD.findall(line)]):
        code = word.lower().replace("_", "").removesuffix("exception")
        if code in S3_FULL:
            return Finding("disk_full", "after-fix", 3)
        if code in S3_RETRY:
            return Finding("storage_error", "yes", coded=True)
        if number == 0 and found:  # a code of another kind, told as one
            passes = _GATEWAY.fullmatch(code) or _PASSES.search(line)
            return Finding("storage_error", "yes" if passes else "after-fix", coded=True)
    return None


_VAGUE = frozenset({400, 401, 403})
_ALSO_VAGUE = {"download_blocked": frozenset({404, 418}), "rate_limited": frozenset({503})}
"""Statuses that say less than the words beside them, by what the words tell."""


def _read_status(status: int, side: Side, line: str) -> Finding | None:
    if status == 507:
        return Finding("disk_full", "after-fix", 3)
    if side == "storage":
        passes = status >= 500 or status in {408, 429}
        return Finding("storage_error", "yes" if passes else "after-fix")
    words = _read_words(STATUS_PHRASE.sub(" ", line), side)
    if (
        words is not None
        and words.weight > 1
        and status in _VAGUE | _ALSO_VAGUE.get(words.cause, frozenset())
        and words.cause not in {"download_timeout", "configuration"}
    ):
        return words  # "HTTP Error 403: rate limit exceeded" says more than its number
    cause, retryable = SOURCE_STATUS.get(
        status, ("download_timeout", "yes") if status >= 500 else ("download_blocked", "after-fix")
    )
    return Finding(cause, retryable)


def _read_words(line: str, side: Side) -> Finding | None:
    own = OWN.get(side)
    for sign in SIGNS:
        if sign.where not in {"", side} or (own is not None and sign.cause not in own):
            continue
        if sign.words.found_in(line):
            vague = sign.cause == "internal" or (sign.cause == "download_timeout" and not side)
            sure = sign.weight > 1 and not vague
            return Finding(sign.cause, sign.retryable, sign.weight, sign.guidance, sure)
    return None


def _read_unsigned(line: str, common: Side) -> Finding | None:
    """The words of a line that does not show whose it is, in a text where ``common`` spoke.

    Storage and database own what is said around them; of the others only what nobody else would say.
    What is known by the borrowed side alone, in vague words, counts less than any line of its own.
    """
    alone = _read_words(line, "")
    if common not in OWN and alone is not None and alone.weight > 1:
        return alone
    found = (_read_words(line, common) if common else alone) or _read_as_source(line)
    if found is not None and found != alone and found.weight == 1:
        return replace(found, weight=0)
    return found


def _read_as_source(line: str) -> Finding | None:
    """Who says "this livestream has ended" speaks of a source, though no tool's name is on the line."""
    if not (_MEDIA.search(line) or _REPORTED.match(line)) or _PYTHON.search(line):
        return None
    for sign in SOURCE_SIGNS:
        if sign.weight > 1 and sign.where == "source" and sign.words.found_in(line):
            return Finding(sign.cause, sign.retryable, sign.weight, sign.guidance, sure=False)
    if _SENTENCE.match(line) and _PUZZLED.search(line):
        return Finding("download_blocked", "after-fix", 1, UPDATE, sure=False)
    return None


@lru_cache(maxsize=256)  # a line is asked for its side by itself, in its text, and without its prefix
def side_of(line: str) -> Side:
    """Who is talking, as far as the line shows."""
    return next((side for side, marks in SIDES if marks.found_in(line)), "")
