"""What a cleanup plan decides, case by case."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, Verdict
from ingestctl.domain.errors import Conflict
from ingestctl.domain.job import Status
from ingestctl.domain.plan import Action, Known, Plan, Refusal, from_json, make_plan, to_json
from ingestctl.domain.verification import Finding, Level, Subject, Verification

VIDEO, AUDIO = ObjectRef("raw", "v/source.mp4"), ObjectRef("audio", "v/audio.wav")
FINE = Finding(Subject.VIDEO, Verdict.INTACT, "as recorded", VIDEO, 10, "etag", "aa")
RECORD = Finding(Subject.RECORD, Verdict.INTACT, "whole")


def seen(*findings: Finding, status: Status = Status.SUCCEEDED, **more: Any) -> Verification:
    """A verification in which everything is fine but what is given."""
    lines = {f.subject: f for f in (FINE, replace(FINE, subject=Subject.AUDIO, ref=AUDIO), RECORD)}
    strays = tuple(f for f in findings if f.subject is Subject.UPLOAD)
    lines |= {f.subject: f for f in findings if f.subject is not Subject.UPLOAD}
    level = more.get("level", Level.CHECKSUM)
    when = datetime(2026, 1, 1, tzinfo=UTC)
    job, video = more.get("job", "j"), more.get("video", "v")
    return Verification(job, video, status, level, when, tuple(lines.values()), strays)


def row(ref: ObjectRef, state: ArtifactState = ArtifactState.STORED, sha256: str | None = "aa") -> Artifact:
    return Artifact(ref, Kind.VIDEO, "v", "j", "r", state, 10, sha256)


def action(plan: Plan, subject: Subject) -> Action | None:
    return next((i.action for i in plan.items if i.subject is subject), None)


def video(verdict: Verdict, **more: Any) -> Finding:
    return replace(FINE, verdict=verdict, **more)


RECORDED = Known((row(VIDEO), row(AUDIO)))


@pytest.mark.parametrize(
    ("verdict", "purge", "expected"),
    [
        (Verdict.INTACT, False, Action.KEEP),
        (Verdict.CORRUPT, False, Action.QUARANTINE),
        (Verdict.PARTIAL, False, Action.QUARANTINE),
        (Verdict.CORRUPT, True, Action.DELETE),
        (Verdict.MISSING, False, Action.FORGET_ROW),
        (Verdict.FOREIGN, False, None),
        (Verdict.UNKNOWN, True, None),
    ],
)
def test_an_object(verdict: Verdict, purge: bool, expected: Action | None) -> None:
    plan = make_plan([seen(video(verdict))], RECORDED, purge=purge)
    assert action(plan, Subject.VIDEO) is expected
    assert [r.subject for r in plan.refusals] == ([] if expected else [Subject.VIDEO])
    assert action(plan, Subject.AUDIO) is Action.KEEP


@pytest.mark.parametrize("state", [ArtifactState.RESERVED, ArtifactState.STAGED])
def test_a_row_that_claims_no_object_is_kept(state: ArtifactState) -> None:
    known = Known((row(VIDEO, state),))
    assert action(make_plan([seen(video(Verdict.MISSING))], known), Subject.VIDEO) is Action.KEEP


def test_a_reserved_key_with_nothing_under_it_is_nothing_to_remove() -> None:
    plan = make_plan([seen(video(Verdict.PARTIAL, etag=None, size_bytes=None))], RECORDED)
    assert action(plan, Subject.VIDEO) is Action.KEEP


def test_include_valid_takes_intact_and_foreign_but_never_unknown_or_protected() -> None:
    asked = frozenset({"j"})
    for verdict in (Verdict.INTACT, Verdict.FOREIGN):
        plan = make_plan([seen(video(verdict))], RECORDED, include_valid=asked)
        assert action(plan, Subject.VIDEO) is Action.QUARANTINE
    assert make_plan([seen(video(Verdict.UNKNOWN))], RECORDED, include_valid=asked).destroyed == 1
    known = Known((row(VIDEO),), {("v", VIDEO): "another video's"})
    plan = make_plan([seen(video(Verdict.CORRUPT))], known, include_valid=asked)
    assert plan.refusals == (Refusal("j", Subject.VIDEO, Verdict.CORRUPT, "another video's", VIDEO),)


def test_no_run_is_asked_for_while_something_refused_is_in_its_way() -> None:
    record = replace(RECORD, verdict=Verdict.CORRUPT)
    assert action(make_plan([seen(record)], RECORDED), Subject.RECORD) is Action.ADOPT
    plan = make_plan([seen(record, video(Verdict.FOREIGN))], RECORDED)
    assert (action(plan, Subject.RECORD), plan.changes) == (Action.KEEP, ())


def test_media_recorded_under_another_key_is_not_stored_a_second_time() -> None:
    known = Known((row(ObjectRef("raw", "elsewhere.mp4")),))
    gone = video(Verdict.MISSING, etag=None, size_bytes=None)
    plan = make_plan([seen(gone, replace(RECORD, verdict=Verdict.CORRUPT))], known)
    assert ([r.subject for r in plan.refusals], plan.changes) == ([Subject.RECORD], ())
    assert "raw/elsewhere.mp4" in plan.refusals[0].reason


def test_an_unfinished_upload_is_aborted() -> None:
    stray = Finding(Subject.UPLOAD, Verdict.PARTIAL, "never finished", VIDEO, upload_id="u1")
    plan = make_plan([seen(stray)], RECORDED)
    assert [(i.action, i.upload_id) for i in plan.changes] == [(Action.ABORT_UPLOAD, "u1")]


@pytest.mark.parametrize(
    ("level", "known", "expected"),
    [
        (Level.DECODE, Known(), Action.ADOPT),
        (Level.CHECKSUM, Known(), Action.KEEP),
        (Level.DECODE, Known((row(VIDEO),)), Action.KEEP),
        (Level.DECODE, Known((row(VIDEO, ArtifactState.RESERVED, None),)), Action.ADOPT),
    ],
)
def test_what_lacks_its_record_is_adopted_when_it_was_proved_by_decoding(
    level: Level, known: Known, expected: Action
) -> None:
    assert action(make_plan([seen(level=level)], known), Subject.VIDEO) is expected


@pytest.mark.parametrize(
    ("status", "reset", "expected"),
    [
        (Status.SUCCEEDED, True, Action.ADOPT),
        (Status.SUCCEEDED, False, Action.KEEP),
        (Status.QUEUED, True, Action.KEEP),
        (Status.FAILED, True, Action.KEEP),
    ],
)
def test_a_broken_record_of_a_succeeded_job_is_written_again(
    status: Status, reset: bool, expected: Action
) -> None:
    found = seen(replace(RECORD, verdict=Verdict.PARTIAL), status=status)
    assert action(make_plan([found], RECORDED, reset=reset), Subject.RECORD) is expected


def test_one_job_of_a_plan_has_the_fingerprint_it_has_alone() -> None:
    first = seen(video(Verdict.CORRUPT), job="a", video="va")
    second = seen(video(Verdict.PARTIAL), job="b", video="vb")
    both = make_plan([first, second], include_valid=frozenset({"b"}))
    assert both.of_job("a").fingerprint == make_plan([first]).fingerprint
    assert both.of_job("b").fingerprint == make_plan([second], include_valid=frozenset({"b"})).fingerprint
    assert both.job_ids == ("a", "b")


@pytest.mark.parametrize("data", [None, [], {}, {"version": 99}, {**to_json(make_plan([])), "items": [{}]}])
def test_what_is_no_plan_is_refused(data: object) -> None:
    with pytest.raises(Conflict, match="plan"):
        from_json(data)


def test_a_plan_that_was_edited_is_refused() -> None:
    """More would be removed than the second person saw, or another object."""
    plan = to_json(make_plan([seen(video(Verdict.CORRUPT))]))
    edited = [{**item, "etag": "another"} for item in plan["items"]]
    assert from_json(plan).changes
    for changed in ({"purge": True}, {"items": edited}, {"items": [*plan["items"], plan["items"][0]]}):
        with pytest.raises(Conflict, match="fingerprint"):
            from_json({**plan, **changed})
