from __future__ import annotations

import concurrent.futures.process
import errno
import io
import os
import re
import socket
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import psycopg.errors
import pytest
import requests
import sqlalchemy.exc
import urllib3.exceptions
from hypothesis import given
from hypothesis import strategies as st
from yt_dlp.networking import Response
from yt_dlp.networking.exceptions import HTTPError, TransportError
from yt_dlp.utils import DownloadError, ExtractorError

from ingestctl.domain.cause_reading import SIGNS
from ingestctl.domain.cause_signs import SIDES, words
from ingestctl.domain.causes import CAUSES, diagnose
from ingestctl.domain.errors import (
    AudioExtractionFailed,
    DatabaseUnavailable,
    IngestError,
    NoAudioStream,
    SourceFailed,
    StorageThrottled,
    ToolMissing,
)

if TYPE_CHECKING:
    from pathlib import Path

CODES = [
    "download_blocked",
    "rate_limited",
    "download_timeout",
    "audio_extraction_failed",
    "storage_error",
    "database_error",
    "invalid_source",
    "not_media",
    "worker_crashed",
    "disk_full",
    "configuration",
    "internal",
]


def client_error(code: str, status: int, operation: str = "PutObject") -> botocore.exceptions.ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "as the server said"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return botocore.exceptions.ClientError(response, operation)


def ytdlp_error(status: int, headers: dict[str, str] | None = None) -> DownloadError:
    """A DownloadError as yt-dlp raises it: the HTTPError inside exc_info."""
    response = Response(fp=io.BytesIO(), url="http://h/v.mp4", headers=headers or {}, status=status)
    error = HTTPError(response)
    inner = ExtractorError(
        "Unable to download webpage", ie="generic", video_id="v", cause=error, expected=True
    )
    return DownloadError(f"ERROR: {inner}", (type(error), error, None))


def chained(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


def requests_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code, response.url = status, "https://h/v.mp4"
    with pytest.raises(requests.HTTPError) as caught:
        response.raise_for_status()
    return caught.value


def sqlite_error(statement: str) -> sqlite3.Error:
    connection = sqlite3.connect(":memory:")
    connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(sqlite3.Error) as caught:
        connection.execute(statement)
    connection.close()
    return caught.value


def refused_connection() -> OSError:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="refused") as caught:
            socket.create_connection(("127.0.0.1", taken.getsockname()[1]), timeout=2)
    return caught.value


def operating_system(number: int) -> OSError:
    return OSError(number, os.strerror(number), "/scratch/v.mp4")


EXCEPTIONS = [
    (client_error("SlowDown", 503), "storage_error", "yes"),
    (client_error("503", 503), "storage_error", "yes"),
    (client_error("NoSuchKey", 404, "GetObject"), "storage_error", "after-fix"),
    (client_error("InvalidAccessKeyId", 403), "storage_error", "after-fix"),
    (client_error("SomethingNeverSeen", 400), "storage_error", "after-fix"),
    (client_error("XMinioStorageFull", 507), "disk_full", "after-fix"),
    (botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3:9000/b"), "storage_error", "yes"),
    (botocore.exceptions.ReadTimeoutError(endpoint_url="http://s3:9000/b"), "storage_error", "yes"),
    (botocore.exceptions.NoCredentialsError(), "storage_error", "after-fix"),
    (psycopg.errors.TooManyConnections("sorry, too many clients already"), "database_error", "yes"),
    (psycopg.errors.DeadlockDetected("x"), "database_error", "yes"),
    (psycopg.errors.UndefinedTable("x"), "database_error", "after-fix"),
    (psycopg.errors.DiskFull("could not extend file"), "disk_full", "after-fix"),
    (psycopg.OperationalError("something never seen"), "database_error", "after-fix"),
    (
        sqlalchemy.exc.OperationalError(
            "select private, login from t", {}, psycopg.errors.AdminShutdown("x")
        ),
        "database_error",
        "yes",
    ),
    (sqlite_error("SELECT * FROM missing"), "database_error", "after-fix"),
    (sqlite_error("CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT UNIQUE)"), "disk_full", "after-fix"),
    (ytdlp_error(403), "download_blocked", "after-fix"),
    (ytdlp_error(404), "invalid_source", "no"),
    (ytdlp_error(429), "rate_limited", "yes"),
    (ytdlp_error(503), "download_timeout", "yes"),
    (ytdlp_error(451), "download_blocked", "after-fix"),
    (TransportError("timed out"), "download_timeout", "yes"),
    (requests_error(503), "download_timeout", "yes"),
    (requests_error(410), "invalid_source", "no"),
    (requests.exceptions.ReadTimeout("Read timed out."), "download_timeout", "yes"),
    (urllib3.exceptions.IncompleteRead(10, 20), "download_timeout", "yes"),
    (refused_connection(), "download_timeout", "yes"),
    (TimeoutError(), "download_timeout", "yes"),
    (operating_system(errno.ENOSPC), "disk_full", "after-fix"),
    (operating_system(errno.EDQUOT), "disk_full", "after-fix"),
    (operating_system(errno.EACCES), "configuration", "after-fix"),
    (operating_system(errno.EROFS), "configuration", "after-fix"),
    (operating_system(errno.EMFILE), "configuration", "after-fix"),
    (MemoryError(), "worker_crashed", "yes"),
    (concurrent.futures.process.BrokenProcessPool("x"), "worker_crashed", "yes"),
    (ModuleNotFoundError("No module named 'mutagen'"), "configuration", "after-fix"),
    (KeyError("duration"), "internal", "after-fix"),
    (ZeroDivisionError(), "internal", "after-fix"),
    (chained(RuntimeError("upload failed"), client_error("SlowDown", 503)), "storage_error", "yes"),
    (chained(RuntimeError("no"), operating_system(errno.ENOSPC)), "disk_full", "after-fix"),
    (ExceptionGroup("many", [ValueError("x"), client_error("SlowDown", 503)]), "storage_error", "yes"),
]


@pytest.mark.parametrize(
    ("problem", "cause", "retryable"), EXCEPTIONS, ids=[f"{type(e[0]).__name__}-{e[1]}" for e in EXCEPTIONS]
)
def test_exceptions_of_real_libraries(problem: BaseException, cause: str, retryable: str) -> None:
    diagnosis = diagnose(problem)
    assert (diagnosis.cause, diagnosis.retryable) == (cause, retryable), diagnosis
    assert diagnosis.confidence == ("low" if cause == "internal" else diagnosis.confidence)


def test_what_happened_while_handling_counts_when_the_outer_error_says_nothing() -> None:
    outer = RuntimeError("cleanup went wrong")
    outer.__context__ = client_error("SlowDown", 503)
    assert diagnose(outer).cause == "storage_error"


@pytest.mark.parametrize(
    "error",
    [
        StorageThrottled("slow down"),
        DatabaseUnavailable("gone"),
        NoAudioStream("no audio"),
        ToolMissing("ffmpeg was not found"),
        SourceFailed("no", cause="rate_limited", retryable="yes", evidence="HTTP Error 403: Forbidden"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_our_own_errors_are_trusted(error: IngestError) -> None:
    diagnosis = diagnose(error)
    assert (diagnosis.cause, diagnosis.retryable) == (error.cause, error.retryable)
    assert diagnosis.evidence == (error.evidence or error.message)
    assert diagnosis.confidence == "high"
    assert (diagnosis.next == "ingestctl retry JOB") == (error.retryable == "yes")


def test_our_own_error_yields_to_a_full_disk_beneath_it() -> None:
    told = AudioExtractionFailed("ffmpeg failed", evidence="Error writing trailer: No space left on device")
    assert diagnose(told).cause == diagnose("No space left on device").cause == "disk_full"
    beneath = chained(AudioExtractionFailed("ffmpeg failed"), operating_system(errno.ENOSPC))
    assert diagnose(beneath).cause == "disk_full"


def test_our_own_error_is_found_inside_another() -> None:
    diagnosis = diagnose(
        chained(RuntimeError("step failed"), SourceFailed("no", cause="rate_limited", retry_after=30))
    )
    assert (diagnosis.cause, diagnosis.retry_after) == ("rate_limited", 30)


def test_retry_after_is_passed_on() -> None:
    assert diagnose(ytdlp_error(429, {"Retry-After": "120"})).retry_after == 120
    assert diagnose(ytdlp_error(429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})).retry_after is None
    assert diagnose(ytdlp_error(429)).retry_after is None


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        # a full disk beats what comes after it
        ("x.mp4: No space left on device\nConversion failed!", "disk_full"),
        ("OSError: [Errno 28] No space left on device\nERROR: [youtube] x: Private video", "disk_full"),
        # the same status from two sides
        (
            "botocore.exceptions.ClientError: An error occurred (503) when calling the PutObject operation",
            "storage_error",
        ),
        (
            "ERROR: [youtube] x: Unable to download API page: HTTP Error 503: Service Unavailable",
            "download_timeout",
        ),
        # storage and database own their trouble, whatever words they use
        ("s3cmd: ERROR: S3 error: 404 (NoSuchKey): Not Found", "storage_error"),
        ("botocore.exceptions.ClientError: rate limit exceeded", "storage_error"),
        ("psycopg2.OperationalError: the frobnicator is sulking", "database_error"),
        # the component that speaks: a demuxer about the file, a decoder about its audio
        ("[mpegts @ 0x564bb98b99e0] something odd: error", "not_media"),
        ("[aac @ 0x564bb98b99e0] something odd: error", "audio_extraction_failed"),
        # a telling line beats a vague one, whichever is last
        ("Output file does not contain any stream\nConversion failed!", "audio_extraction_failed"),
        ("ERROR: [a] b: Unable to extract title\nERROR: [a] b: Private video", "invalid_source"),
        ("ERROR: [a] b: Private video\nERROR: [a] b: Unable to extract title", "invalid_source"),
        # an error beats a warning; among equals the last line wins
        (
            "ERROR: [youtube] x: Private video\nWARNING: [youtube] HTTP Error 429: Too Many Requests",
            "invalid_source",
        ),
        ("ERROR: HTTP Error 404: Not Found\nERROR: HTTP Error 429: Too Many Requests", "rate_limited"),
        ("ERROR: HTTP Error 429: Too Many Requests\nERROR: HTTP Error 404: Not Found", "invalid_source"),
        # words inside an address or a statement say nothing
        ("ValueError: odd https://h/private-video/login?captcha=1", "internal"),
        ("ValueError: odd\n[SQL: SELECT no space left FROM t]", "internal"),
        ("\x1b[0;31mERROR:\x1b[0m [a] b: \x1b[1mPrivate\x1b[0m video", "invalid_source"),
        ("", "internal"),
        ("   \n\t\n", "internal"),
        ("INFO worker started, 3 jobs queued", "internal"),
        ("processed 503 rows in 429 ms", "internal"),
        # a title in a progress line is no message
        ("[download] Destination: Private video, login required.mp4", "internal"),
        ("uploaded 3 parts to bucket raw-videos, 0 errors", "internal"),
        # the code decides, not the words that follow it
        (
            "ClientError: An error occurred (InvalidRequest) when calling the PutObject operation:\nbad "
            "checksum, please try again",
            "storage_error",
        ),
    ],
)
def test_precedence(text: str, cause: str) -> None:
    assert diagnose(text).cause == cause


def test_evidence_is_the_deciding_line_clean_and_short() -> None:
    text = 'first\n\x1b[31mERROR: [a] b: Private video\x07\x1b[0m\n  File "x.py", line 1\nlast'
    assert diagnose(text).evidence == "ERROR: [a] b: Private video"
    assert len(diagnose("Private video " * 1000).evidence) <= 500


def test_the_table_of_causes() -> None:
    assert list(CAUSES) == CODES
    for code, cause in CAUSES.items():
        assert cause.code == code
        assert cause.title
        assert cause.guidance.endswith(".")
        assert cause.next.startswith("ingestctl ")
    assert {sign.cause for sign in SIGNS} == set(CODES)


def test_what_passes_by_itself_is_retried() -> None:
    assert diagnose("ERROR: [twitch:stream] x: Stream is offline").next == "ingestctl retry JOB"
    assert diagnose("NoSuchBucket: The specified bucket does not exist").next == "ingestctl doctor"
    unknown = diagnose("flux capacitor misaligned")
    assert (unknown.cause, unknown.confidence, unknown.next) == ("internal", "low", "ingestctl escalate")


HOSTILE = {
    "a": "a" * 5_000_000,
    "brackets": "[" * 5_000_000,
    "escapes": "\x1b[" * 2_500_000,
    "newlines": "\n" * 5_000_000,
    "nuls": "\0" * 1_000_000,
    "words": "could not " * 500_000,
    "digits": "4" * 1_000_000,
    "statuses": "403 " * 250_000,
    "says a status": "http code: " * 100_000,
    "underscores": "a_" * 500_000,
    "quotes": 'relation "' * 100_000,
    "one kind of start": "error number - " * 70_000,
    "distinct lines": "\n".join(f"x{n} is here, and so is that other thing" for n in range(20_000)),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_huge_hostile_text_is_read_in_bounded_time_and_its_end_still_counts(text: str) -> None:
    diagnosis = diagnose(text)
    assert (diagnosis.cause, diagnosis.confidence) == ("internal", "low")
    assert diagnose(text + "\nOSError: [Errno 28] No space left on device").cause == "disk_full"


def test_no_pattern_nests_repetitions_or_runs_without_a_bound() -> None:
    patterns = [words.pattern for words in (*(sign.words for sign in SIGNS), *(words for _, words in SIDES))]
    nested = re.compile(r"\([^()]*[+*][^()]*\)[+*]")
    assert [pattern for pattern in patterns if nested.search(pattern)] == []
    assert [pattern for pattern in patterns if re.search(r"(?<![\\:])\.[*+]", pattern)] == []


def test_words_are_case_blind_but_for_what_says_otherwise() -> None:
    both = words(r"\bDRM\b|no Space", r"(?-i:FATAL): {2}\w")
    found = [both.found_in(text) for text in ("it is drm", "NO SPACE", "FATAL:  x", "fatal:  x", "adrm")]
    assert found == [True, True, True, False, False]


WORDS = st.sampled_from([word for sign in SIGNS for word in re.findall(r"[a-z ]{4,}", sign.words.pattern)])


@given(st.one_of(st.text(), st.lists(st.one_of(WORDS, st.text(max_size=20))).map(" ".join)))
def test_any_text_gets_a_known_code(text: str) -> None:
    diagnosis = diagnose(text)
    assert diagnosis.cause in CAUSES
    assert diagnosis.retryable in {"yes", "after-fix", "no"}
    assert diagnosis.title == CAUSES[diagnosis.cause].title
    assert len(diagnosis.evidence) <= 500
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e]", diagnosis.evidence)


class Broken(Exception):
    response = property(lambda self: 1 / 0)  # an attribute that raises must not hide the problem

    def __str__(self) -> str:
        raise ValueError("broken")


def test_a_broken_exception_is_still_diagnosed() -> None:
    assert diagnose(Broken()).cause == "internal"
    loop = RuntimeError("round")
    loop.__cause__ = ValueError("and round")
    loop.__cause__.__cause__ = loop
    assert diagnose(loop).cause == "internal"


def test_the_domain_imports_no_library(tmp_path: Path) -> None:
    code = "import sys, ingestctl.domain.causes; print([m for m in sys.modules if m.split('.')[0] in " + (
        "{'botocore', 'psycopg', 'yt_dlp', 'sqlalchemy', 'requests', 'urllib3'}])"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert shown.stdout.strip() == "[]"
