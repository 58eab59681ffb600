"""Cleanup plans, whatever was found: the promises that hold for every one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, Verdict
from ingestctl.domain.errors import Conflict
from ingestctl.domain.job import Status
from ingestctl.domain.plan import DESTRUCTIVE, Action, Known, Plan, from_json, make_plan, to_json
from ingestctl.domain.verification import Finding, Level, Subject, Verification

if TYPE_CHECKING:
    import random

WHEN = datetime(2026, 1, 1, tzinfo=UTC)
words = st.sampled_from(["", "a", "\u202e\x00é", "2"])
refs = st.sampled_from([ObjectRef(b, k) for b in ("raw", "audio") for k in ("v/1", "v/2", "ü")])
verdicts = st.sampled_from(Verdict)


def finding(subject: Subject) -> st.SearchStrategy[Finding]:
    return st.builds(
        Finding,
        st.just(subject),
        verdicts,
        words,
        refs if subject is not Subject.RECORD else st.none(),
        st.sampled_from([None, 0, 10**12]),
        st.none() | words,
        st.none() | st.just("ab" * 32),
        words if subject is Subject.UPLOAD else st.none(),
        st.booleans(),
    )


@st.composite
def verification(draw: st.DrawFn) -> Verification:
    number = draw(st.integers(0, 5))
    return Verification(
        f"job{number}",
        f"video{draw(st.integers(0, 3))}",
        draw(st.sampled_from(Status)),
        draw(st.sampled_from(Level)),
        WHEN,
        tuple(draw(finding(s)) for s in (Subject.VIDEO, Subject.AUDIO, Subject.RECORD)),
        tuple(draw(st.lists(finding(Subject.UPLOAD), max_size=2))),
    )


busy = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
"""Other suites run beside this one."""
many = st.lists(verification(), max_size=4, unique_by=lambda v: v.job_id)


@st.composite
def known_of(draw: st.DrawFn, seen: list[Verification]) -> Known:
    places = [(v.video_id, f.ref) for v in seen for f in (*v.findings, *v.strays) if f.ref]
    rows = [
        Artifact(ref, Kind.VIDEO, video, "j", "r", draw(st.sampled_from(ArtifactState)))
        for video, ref in places
        if draw(st.booleans())
    ]
    return Known(tuple(rows), {place: "never" for place in places if draw(st.booleans())})


@st.composite
def plans(draw: st.DrawFn) -> tuple[list[Verification], Known, frozenset[str], Plan]:
    seen = draw(many)
    known = draw(known_of(seen))
    asked = frozenset(v.job_id for v in seen if draw(st.booleans()))
    purge, reset = draw(st.booleans()), draw(st.booleans())
    return seen, known, asked, make_plan(seen, known, include_valid=asked, purge=purge, reset=reset)


@busy
@given(plans())
def test_unknown_is_never_touched(made: tuple[list[Verification], Known, frozenset[str], Plan]) -> None:
    assert all(item.verdict is not Verdict.UNKNOWN for item in made[3].changes)


@busy
@given(plans())
def test_intact_and_foreign_never_go_without_their_id(
    made: tuple[list[Verification], Known, frozenset[str], Plan],
) -> None:
    _, _, asked, plan = made
    for item in plan.items:
        if item.action in DESTRUCTIVE and item.verdict in (Verdict.INTACT, Verdict.FOREIGN):
            assert item.job_id in asked


@busy
@given(plans())
def test_the_bytes_on_record_are_never_deleted_without_their_id(
    made: tuple[list[Verification], Known, frozenset[str], Plan],
) -> None:
    _, _, asked, plan = made
    for item in plan.items:
        if item.action is Action.DELETE and item.bytes_intact:
            assert item.job_id in asked


@busy
@given(plans())
def test_what_is_protected_is_never_changed(
    made: tuple[list[Verification], Known, frozenset[str], Plan],
) -> None:
    _, known, _, plan = made
    for item in plan.changes:
        if item.action in (*DESTRUCTIVE, Action.ABORT_UPLOAD, Action.ADOPT) and item.ref:
            assert known.why_not(item.video_id, item.ref) is None


@busy
@given(plans())
def test_a_removal_names_the_very_object(
    made: tuple[list[Verification], Known, frozenset[str], Plan],
) -> None:
    for item in made[3].items:
        if item.action in DESTRUCTIVE:
            assert item.ref is not None
            assert item.etag is not None
            assert item.size_bytes is not None


@busy
@given(plans())
def test_rows_are_forgotten_only_where_the_object_is_gone(
    made: tuple[list[Verification], Known, frozenset[str], Plan],
) -> None:
    _, known, _, plan = made
    for item in plan.items:
        if item.action is Action.FORGET_ROW:
            row = known.row(item.video_id, item.ref)
            assert (item.verdict, row and row.state) == (Verdict.MISSING, ArtifactState.STORED)


@busy
@given(plans())
def test_each_video_is_spoken_for_once(
    made: tuple[list[Verification], Known, frozenset[str], Plan],
) -> None:
    speakers: dict[str, str] = {}
    for item in made[3].changes:
        assert speakers.setdefault(item.video_id, item.job_id) == item.job_id


@busy
@given(plans(), st.randoms(use_true_random=False))
def test_the_fingerprint_is_of_what_is_done(
    made: tuple[list[Verification], Known, frozenset[str], Plan], dice: random.Random
) -> None:
    plan = made[3]
    items = [replace(item, reason="said otherwise") for item in plan.items]
    dice.shuffle(items)
    assert replace(plan, items=tuple(items)).fingerprint == plan.fingerprint
    if plan.items:
        other = replace(plan.items[0], etag=(plan.items[0].etag or "") + "x")
        assert replace(plan, items=(other, *plan.items[1:])).fingerprint != plan.fingerprint
        assert replace(plan, items=plan.items[1:]).fingerprint != plan.fingerprint
    assert replace(plan, purge=not plan.purge).fingerprint != plan.fingerprint


@busy
@given(plans())
def test_json_and_back(made: tuple[list[Verification], Known, frozenset[str], Plan]) -> None:
    plan = made[3]
    data = json.loads(json.dumps(to_json(plan)))
    assert from_json(data) == plan
    with pytest.raises(Conflict, match="fingerprint"):
        from_json({**data, "purge": not plan.purge})
