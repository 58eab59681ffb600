"""A store that lies to verify-artifacts, cleanup and retry: never a wrong ``intact``, never a byte lost."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.errors import Conflict, Exit, IngestError, StorageRefused, StorageUnavailable
from ingestctl.domain.job import Status
from ingestctl.domain.verification import Level
from ingestctl.ops.planning import Planner, Terms
from ingestctl.ops.reading import Patience
from ingestctl.ops.verify import Verifier
from ingestctl.pipeline import Outcome
from tests.wrecks import breaks
from tests.wrecks.table import GOOD
from tests.wrecks.yard import OTHERS, OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.storage.base import ObjectInfo
    from tests.wrecks.yard import Yard


class Lying:
    """The real store, with other answers where it is told to."""

    def __init__(self, real: Any, **lies: Any) -> None:
        self._real, self._lies = real, lies

    def __getattr__(self, name: str) -> Any:
        return self._lies.get(name) or getattr(self._real, name)


@contextlib.contextmanager
def lying(yard: Yard, **lies: Any) -> Iterator[None]:
    """Everything that is built in the block sees the lies."""
    vars(yard.wiring)["storage"] = Lying(yard.storage, **lies)
    try:
        yield
    finally:
        vars(yard.wiring)["storage"] = yard.storage


def nothing_listed(*_: Any, **__: Any) -> Any:
    return iter(())


def verdicts(yard: Yard, level: Level = Level.CHECKSUM) -> str:
    found = yard.verify(level)
    return " ".join(finding.verdict for finding in found.findings)


def cleaned(yard: Yard, **terms: Any) -> Exit:
    """``cleanup`` as a command ends: by its result, or by the error that ended it."""
    try:
        return yard.cleanup(yard.prepare(**terms)).exit
    except IngestError as error:
        return error.exit


def all_there(yard: Yard, before: dict[ObjectRef, Any]) -> None:
    now = yard.objects()
    assert {ref: now.get(ref) for ref in before} == before


def test_an_empty_listing_is_no_loss(yard: Yard) -> None:
    """Where HEAD shows the objects, a listing without them says nothing."""
    before = yard.objects()
    with lying(yard, list_objects=nothing_listed):
        assert verdicts(yard) == GOOD
        assert cleaned(yard) is Exit.DONE
        with pytest.raises(StorageUnavailable, match="too few to believe"):
            yard.audit()
    assert yard.job().status is Status.SUCCEEDED
    all_there(yard, before)


def test_a_head_that_denies_what_the_listing_shows_is_not_believed(yard: Yard) -> None:
    before = yard.everything()
    with lying(yard, stat=lambda _ref: None):
        assert verdicts(yard) == "unknown unknown intact"
        assert cleaned(yard) is Exit.UNAVAILABLE
        assert cleaned(yard, include_valid=True) is Exit.UNAVAILABLE
    assert yard.everything() == before


def test_a_store_that_shows_another_tenants_nothing_is_an_outage(yard: Yard) -> None:
    """Wrong credentials or endpoint: no HEAD and no listing shows anything, of our job or its neighbours."""
    for number in range(3):
        name = f"more{number}"
        yard.ingest(name, yard.source.url(f"wrecks/{name}.mp4"), (b"video %d" % number, b"audio %d" % number))
    before = yard.everything()
    with lying(yard, stat=lambda _ref: None, list_objects=nothing_listed):
        assert cleaned(yard) is Exit.UNAVAILABLE
        with pytest.raises(StorageUnavailable, match="too few to believe"):
            yard.audit()
    assert yard.everything() == before


def test_an_outage_too_small_to_be_told_costs_no_byte(yard: Yard) -> None:
    """Too few neighbours to tell it from a loss: rows are forgotten, objects stay, and are adopted again."""
    yard.sql("DELETE FROM ingest_artifacts WHERE video_id = :v", v=OTHERS)
    before = {ref: thing for ref, thing in yard.objects().items() if OURS in ref.key}
    with lying(yard, stat=lambda _ref: None, list_objects=nothing_listed):
        assert verdicts(yard) == "missing missing intact"
        assert cleaned(yard) is Exit.DONE
    all_there(yard, before)
    assert yard.run().status is Status.FAILED, "no run writes over what it does not know"
    all_there(yard, before)
    assert cleaned(yard) is Exit.DONE
    assert yard.run().outcome is Outcome.SUCCEEDED
    assert verdicts(yard, Level.DECODE) == GOOD
    all_there(yard, before)


def flips(yard: Yard) -> Callable[..., Any]:
    """Another bit is wrong at every read."""
    reads = 0

    @contextlib.contextmanager
    def read(ref: ObjectRef, **more: Any) -> Iterator[Iterator[bytes]]:
        nonlocal reads
        reads += 1
        bit = 1 << reads % 8
        with yard.storage.read(ref, **more) as chunks:
            yield (bytes([chunk[0] ^ bit]) + chunk[1:] for chunk in chunks)

    return read


def shortens(yard: Yard) -> Callable[..., Any]:
    """The end is missing at every read, without an error."""

    @contextlib.contextmanager
    def read(ref: ObjectRef, **more: Any) -> Iterator[Iterator[bytes]]:
        with yard.storage.read(ref, **more) as chunks:
            yield (chunk[:-1] for chunk in chunks)

    return read


def breaks_off(yard: Yard) -> Callable[..., Any]:
    """A gateway in between has had enough."""

    @contextlib.contextmanager
    def read(ref: ObjectRef, **more: Any) -> Iterator[Iterator[bytes]]:
        def some() -> Iterator[bytes]:
            yield b"x"
            raise StorageUnavailable("the connection was reset")

        with yard.storage.read(ref, **more):
            yield some()

    return read


@pytest.mark.parametrize("lie", [flips, shortens, breaks_off])
@pytest.mark.parametrize("purge", [False, True])
def test_bytes_that_cannot_be_read_twice_alike_condemn_nothing(
    yard: Yard, lie: Callable[[Yard], Any], purge: bool
) -> None:
    before = yard.everything()
    with lying(yard, read=lie(yard)):
        assert verdicts(yard) == "unknown unknown intact"
        assert cleaned(yard, purge=purge) is Exit.UNAVAILABLE
        assert verdicts(yard, Level.DECODE) == "unknown unknown intact"
    assert yard.everything() == before


def test_a_store_that_is_too_slow_condemns_nothing(yard: Yard) -> None:
    @contextlib.contextmanager
    def dribble(*_: Any, **__: Any) -> Iterator[Iterator[bytes]]:
        yield (time.sleep(3) or b"x" for _ in range(3))

    before = yard.everything()
    with lying(yard, read=dribble):
        storage, wiring = yard.wiring.storage, yard.wiring
        checks = Verifier(
            yard.store, storage, wiring.media, wiring.buckets, wiring.settings.scratch_root, yard.stop,
            patience=Patience(0.2),
        )  # fmt: skip
        planner = Planner(yard.store, storage, checks, wiring.buckets)
        plan = planner.survey([yard.job()], Terms()).plan
    assert plan.changes == ()
    assert [(r.subject.value, r.verdict.value) for r in plan.refusals] == [
        ("video", "unknown"),
        ("audio", "unknown"),
    ]
    assert yard.everything() == before


def test_a_deletion_that_is_refused_leaves_the_object_and_is_finished_later(yard: Yard) -> None:
    breaks.audio_flipped(yard)
    before = yard.objects()

    def refuse(*_: Any, **__: Any) -> Any:
        raise StorageRefused("AccessDenied")

    with lying(yard, delete=refuse):
        assert cleaned(yard) is Exit.UNAVAILABLE
    all_there(yard, before)
    assert yard.job().status is Status.SUCCEEDED, "nothing is settled before it is done"
    assert cleaned(yard) is Exit.DONE
    assert yard.run().outcome is Outcome.SUCCEEDED
    assert verdicts(yard, Level.DECODE) == GOOD


def test_a_deletion_that_only_says_so_is_not_believed(yard: Yard) -> None:
    breaks.audio_flipped(yard)
    before = yard.objects()
    for _ in range(2):
        with lying(yard, delete=lambda *_, **__: True):
            assert cleaned(yard) is Exit.UNAVAILABLE
        all_there(yard, before)
        assert verdicts(yard) == "intact corrupt intact", "its record is kept until it is gone"
    assert cleaned(yard) is Exit.DONE
    assert yard.run().outcome is Outcome.SUCCEEDED
    assert verdicts(yard, Level.DECODE) == GOOD


def test_a_copy_that_is_not_true_is_no_reason_to_delete(yard: Yard) -> None:
    breaks.audio_flipped(yard)
    before = yard.objects()

    def copy(source: ObjectInfo, target: Any) -> Any:
        yard.storage.copy(source, target)
        thing = yard.hands.get(target.ref)
        yard.hands.put(target.ref, thing.data[:-1], thing.content_type, **thing.metadata)
        return yard.storage.stat(target.ref)

    with lying(yard, copy=copy):
        assert cleaned(yard) is not Exit.DONE
    all_there(yard, before)
    assert yard.job().status is Status.SUCCEEDED


def test_a_head_from_before_the_object_was_replaced_deletes_nothing(yard: Yard) -> None:
    """A stale answer names an ETag, and only an object with that ETag may go."""
    breaks.audio_flipped(yard)
    old = {ref: yard.storage.stat(ref) for ref in (yard.video, yard.audio)}
    yard.damage(yard.audio, yard.media.ours[1])  # put right by hand meanwhile
    before = yard.objects()

    def stale(ref: ObjectRef) -> Any:
        return old.get(ref) or yard.storage.stat(ref)

    for purge in (False, True):
        with lying(yard, stat=stale):
            assert cleaned(yard, purge=purge) is not Exit.DONE
        all_there(yard, before)
    assert verdicts(yard) == GOOD


def test_retry_is_not_talked_into_anything(yard: Yard) -> None:
    """What cannot be checked is never called whole, and never called safe to replace."""
    with lying(yard, stat=lambda _ref: None):
        done = yard.retry(anyway=True)
    assert (done.outcome, done.exit) == ("refused", Exit.CONFLICT)
    assert isinstance(done.error, Conflict)
    breaks.never_stored(yard)
    yard.hands.put(yard.video, yard.media.others[0], "video/mp4")
    with lying(yard, stat=lambda _ref: None):
        done = yard.retry(dry_run=True)
    assert [(c.id, c.verdict) for c in done.checks if c.verdict != "pass"] == [
        ("partial_files", "cannot-tell")
    ]
