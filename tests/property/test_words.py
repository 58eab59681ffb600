# ruff: noqa: PT017 - to read and to refuse are both right answers
"""What operators, the API and other writers hand us: read right, or refused by name; never anything else."""

from __future__ import annotations

import json
import posixpath
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
import typer
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ingestctl.cli.commands.verify_artifacts import _percent
from ingestctl.db.types import MAX_JSON_DEPTH, clean_json, lenient_loads
from ingestctl.domain.errors import Conflict, InvalidPayload, UsageError
from ingestctl.domain.job import STATUS_ALIASES, Status, parse_status, stored_words
from ingestctl.domain.plan import from_json
from ingestctl.domain.source import (
    Buckets,
    Source,
    SourceKind,
    check_key,
    new_payload,
    normalize_url,
    parse_payload,
)
from ingestctl.ops.find import moment
from ingestctl.settings import Settings

many = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
anything = st.text(st.characters(), max_size=60)
"""Control characters, lone surrogates and all."""
odd = st.sampled_from(
    ["", ".", "..", "/", "//", "\0", "\x1b[31m", "\u202e", "\ud800", "%2e%2e", "\\", "a" * 1100]
)
texts = st.one_of(anything, odd, st.lists(odd | st.sampled_from(["a", "b.mp4"]), max_size=5).map("/".join))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def _fields(**shapes: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """An object of these fields, each of its shape or of any other, some left out."""
    return st.fixed_dictionaries({}, optional={name: shape | values for name, shape in shapes.items()})


places = _fields(bucket=texts, object_key=texts, format=texts)
kinds = st.sampled_from(SourceKind) | texts
urls = st.builds("{}://{}/{}".format, st.sampled_from(["http", "HTTPS", "file", "\0"]), texts, texts) | texts
payloads = st.one_of(
    values,
    _fields(
        source=_fields(kind=kinds, url=urls, upload_ref=texts, object_key=texts),
        artifacts=_fields(video=places, audio=places),
        metadata=values,
    ),
)


@many
@given(payloads, kinds, texts)
def test_a_payload_is_read_or_refused_by_field(payload: Any, kind: str, uri: str) -> None:
    given_as = (payload, json.dumps(payload)) if _is_json(payload) else (payload,)
    for form in given_as:
        try:
            spec = parse_payload(form, video_id="v", source_type=kind, source_uri=uri, buckets=Buckets())
        except InvalidPayload as error:
            assert error.message
            assert len(error.message) < 1000
            continue
        for ref in (spec.video, spec.audio, *([spec.upload] if spec.upload else [])):
            assert not ref.key.startswith("/")
            assert posixpath.normpath(ref.key) == ref.key
            assert ".." not in ref.key.split("/")
            assert "/" not in ref.bucket
            assert ref.bucket.strip(".")
        if not spec.source.is_upload:
            assert urlsplit(spec.source.uri).scheme in ("http", "https")


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@many
@given(urls)
@example("http://a/;x?y#z")
@example("HTTP://[::1%25é]:080/a//")
def test_the_normal_form_is_one_form(url: str) -> None:
    try:
        once = normalize_url(url)
    except InvalidPayload:
        return
    assert normalize_url(once) == once
    assert not any(c.isspace() or ord(c) < 0x20 for c in once)
    assert urlsplit(once).hostname == urlsplit(url.strip()).hostname
    assert urlsplit(once).query == urlsplit(url.strip()).query


@many
@given(st.sampled_from(SourceKind), texts)
def test_what_we_write_is_what_we_read(kind: SourceKind, name: str) -> None:
    try:
        uri = (
            check_key(name, "key")
            if kind is SourceKind.UPLOAD
            else normalize_url(f"https://a.example/{name}")
        )
    except InvalidPayload:
        assume(False)
    payload = new_payload(Source(kind, uri), "v", Buckets(), dedupe_key=uri, submitted_by="me")
    spec = parse_payload(payload, video_id="v", source_type="", source_uri="", buckets=Buckets())
    assert spec.source == Source(kind, uri)
    assert spec.video.key == "videos/v/source.mp4"


@many
@given(texts)
def test_a_status_is_of_one_of_the_two_vocabularies(word: str) -> None:
    try:
        status = parse_status(word)
    except ValueError as error:
        assert "use one of" in str(error)
        assert word.strip().lower() not in {*Status, *STATUS_ALIASES}
    else:
        assert word.strip().lower() in stored_words(status)


def test_both_vocabularies_are_whole() -> None:
    assert {word for status in Status for word in stored_words(status)} == {*Status, *STATUS_ALIASES}
    for word in (*Status, *STATUS_ALIASES):
        assert word in stored_words(parse_status(f" {word.upper()} "))


ages = st.builds("{}{}".format, st.integers(0, 10**8) | texts, st.sampled_from("smhdwy") | texts)
dates = st.datetimes().map(datetime.isoformat) | st.datetimes(timezones=st.timezones()).map(
    datetime.isoformat
)


@many
@given(ages | dates | texts)
@example("0001-01-01T00:00:00+14:00")
@example("999999w")
@example("9999-12-31T23:59:59-14:00")
@example("\u0663d")
def test_a_time_is_a_moment_or_refused(text: str) -> None:
    try:
        at = moment("--since", text, NOW)
    except UsageError as error:
        assert "--since" in error.message
        assert error.hint
    else:
        assert at is not None
        assert at.astimezone(UTC).tzinfo is UTC


@many
@given(st.floats().map(str) | texts | st.integers().map("{}%".format))
def test_a_share_is_a_percentage_or_refused(text: str) -> None:
    try:
        share = _percent(text)
    except typer.BadParameter as error:
        assert repr(text) in str(error)
    else:
        assert share is not None
        assert 0 < share <= 100


SIZES = st.builds(
    "{} {}".format, st.integers() | st.floats() | texts, st.sampled_from(["", "B", "KiB", "TB", "XB"])
)


@many
@given(
    st.sampled_from(["INGESTCTL_MAX_BYTES", "INGESTCTL_LEASE_SECONDS"]), SIZES | texts | st.floats().map(str)
)
def test_a_size_or_a_length_of_time_is_in_bounds_or_refused(name: str, text: str) -> None:
    try:
        read = Settings(_env_file=None, **{name: text})  # type: ignore[arg-type, call-arg]
    except ValidationError as error:
        assert name in str(error.errors()[0]["loc"]) or "LEASE" in str(error)
    else:
        assert read.max_bytes > 0
        assert 0 < read.lease_s <= 30 * 24 * 3600


@many
@given(values)
def test_a_plan_is_one_that_was_written_or_refused(data: Any) -> None:
    shape = {"version": 1, "purge": False, "reset": True, "level": "decode", "include_valid": []}
    for form in (
        data,
        {**shape, "items": data, "refusals": []},
        {**shape, "items": [data], "refusals": [data]},
    ):
        with pytest.raises(Conflict):
            from_json(form)


@many
@given(values, st.integers(0, 2000))
def test_what_another_writer_left_is_readable_and_what_we_write_is_storable(value: Any, depth: int) -> None:
    text = "[" * depth + json.dumps(value) + "]" * depth
    read = lenient_loads(text)
    assert read == text or depth <= MAX_JSON_DEPTH
    stored = json.dumps(clean_json(read), allow_nan=False, ensure_ascii=False)
    assert read == text or "\\u0000" not in stored
    assert stored.encode()
