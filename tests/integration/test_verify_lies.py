"""Stores that lie, lag, dribble or do not answer: never a deletion, never a wrong verdict."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.base import JobFilter
from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    Exit,
    StorageRefused,
    StorageUnavailable,
)
from ingestctl.domain.stop import Stop
from ingestctl.domain.verification import Level, exit_of
from ingestctl.ops.reading import Patience
from ingestctl.ops.verify_many import verify_many
from tests.integration.test_verify import place
from tests.integration.verify_world import Lying, audit, fleet, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingestctl.storage.base import ObjectInfo
    from tests.integration.verify_world import Place

__all__ = ["place"]


LIES: dict[str, dict[str, Any]] = {
    "an empty listing": {"list_objects": lambda *_a, **_k: iter(())},
    "no object anywhere": {"list_objects": lambda *_a, **_k: iter(()), "stat": lambda _ref: None},
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("jobs", [1, 12])
def test_an_empty_store_is_not_believed(place: Place, lie: str, jobs: int) -> None:
    fleet(place, jobs)
    before = place.world.everything()
    with pytest.raises(StorageUnavailable, match=f"0 of {jobs} stored objects") as caught:
        audit(place, Lying(place.storage, **LIES[lie]))
    assert caught.value.exit is Exit.UNAVAILABLE
    assert place.world.everything() == before, "nothing was recorded"


def test_a_store_that_shows_less_than_half_is_not_believed(place: Place) -> None:
    fleet(place, 12)
    before = place.world.everything()

    def some(bucket: str, prefix: str = "", **more: Any) -> Iterator[ObjectInfo]:
        return (info for n, info in enumerate(place.storage.list_objects(bucket, prefix, **more)) if n < 5)

    with pytest.raises(StorageUnavailable, match="5 of 12"):
        audit(place, Lying(place.storage, list_objects=some))
    assert place.world.everything() == before


def test_a_stale_listing_never_makes_a_missing(place: Place) -> None:
    fleet(place, 12)

    def stale(bucket: str, prefix: str = "", **more: Any) -> Iterator[ObjectInfo]:
        for number, info in enumerate(place.storage.list_objects(bucket, prefix, **more)):
            if number == 3:
                yield replace(info, etag="yesterday", size_bytes=1)
            elif number not in (5, 6):
                yield info

    assert verdicts(audit(place, Lying(place.storage, list_objects=stale))) == {"intact": 24}


def test_a_listing_in_another_order_loses_nothing(place: Place) -> None:
    fleet(place, 12)

    def shuffled(bucket: str, prefix: str = "", **more: Any) -> Iterator[ObjectInfo]:
        return iter(sorted(place.storage.list_objects(bucket, prefix, **more), key=lambda i: i.ref.key[::-1]))

    assert verdicts(audit(place, Lying(place.storage, list_objects=shuffled))) == {"intact": 24}


def test_many_orphans_before_the_first_row_are_no_outage(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = fleet(place, 2)
    bucket = place.refs(jobs[0])[0].bucket
    for number in range(5):
        place.put(ObjectRef(bucket, f"a/{number}"), b"orphan", "video/mp4")
    monkeypatch.setattr("ingestctl.ops.audit.MAX_SUSPECTS", 3)
    report = audit(place)
    assert (verdicts(report), report.orphans, report.objects) == ({"intact": 4}, 5, 9)


def test_many_heads_that_find_nothing_are_not_believed(place: Place) -> None:
    fleet(place, 6)
    before = place.world.everything()
    blind = Lying(place.storage, stat=lambda _ref: None, list_objects=lambda *_a, **_k: iter(()))
    rows = place.world.store.scan(JobFilter())
    with pytest.raises(StorageUnavailable, match="0 of 12"):
        verify_many(place.world.store, place.verifier(blind), rows, Level.EXISTS, Stop())
    assert place.world.everything() == before


def test_one_answer_against_another_is_unknown(place: Place) -> None:
    job = fleet(place, 1)[0]
    found = place.verifier(Lying(place.storage, stat=lambda _ref: None)).verify(job, Level.EXISTS)
    assert [f.verdict for f in found.findings] == ["unknown", "unknown", "intact"]
    assert exit_of([found.verdict]) is Exit.UNAVAILABLE


@pytest.mark.parametrize(("reads", "verdict"), [(1, "unknown"), (2, "corrupt")])
def test_bits_that_flip_on_the_way_are_no_corruption(place: Place, reads: int, verdict: str) -> None:
    """The same wrong bytes twice are the object's; wrong once is the way's fault."""
    job = fleet(place, 1)[0]
    seen: list[ObjectRef] = []

    @contextlib.contextmanager
    def flipping(ref: ObjectRef, **more: Any) -> Iterator[Iterator[bytes]]:
        seen.append(ref)
        bad = ref.bucket == place.buckets.video and seen.count(ref) <= reads
        with place.storage.read(ref, **more) as chunks:
            yield (bytes([c[0] ^ 1]) + c[1:] if bad else c for c in chunks)

    found = place.verifier(Lying(place.storage, read=flipping)).verify(job, Level.CHECKSUM)
    assert [f.verdict for f in found.findings] == [verdict, "intact", "intact"]


def test_short_bytes_are_never_the_whole(place: Place) -> None:
    job = fleet(place, 1)[0]

    @contextlib.contextmanager
    def short(ref: ObjectRef, **more: Any) -> Iterator[Iterator[bytes]]:
        with place.storage.read(ref, **more) as chunks:
            yield (c[:-1] for c in chunks)

    found = place.verifier(Lying(place.storage, read=short)).verify(job, Level.CHECKSUM)
    assert [f.verdict for f in found.findings] == ["unknown", "unknown", "intact"]


def test_a_store_that_dribbles_is_unknown(place: Place) -> None:
    job = fleet(place, 1)[0]

    @contextlib.contextmanager
    def slow(ref: ObjectRef, **_: Any) -> Iterator[Iterator[bytes]]:
        yield (time.sleep(5) or b"x" for _ in range(3))

    verifier = place.verifier(Lying(place.storage, read=slow), patience=Patience(0.2))
    began = time.monotonic()
    found = verifier.verify(job, Level.CHECKSUM)
    assert time.monotonic() - began < 4
    assert [f.verdict for f in found.findings] == ["unknown", "unknown", "intact"]
    assert "took longer" in found.findings[0].evidence


@pytest.mark.parametrize("error", [StorageUnavailable("it is down"), StorageRefused("no such key")])
def test_a_store_that_does_not_answer_is_unknown(place: Place, error: Exception) -> None:
    job = fleet(place, 1)[0]

    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    found = place.verifier(Lying(place.storage, stat=refuse)).verify(job, Level.DECODE)
    assert [f.verdict for f in found.findings] == ["unknown", "unknown", "intact"]
    assert str(error) in found.findings[0].evidence
    with pytest.raises(StorageUnavailable, match=str(error)) as told:
        audit(place, Lying(place.storage, list_objects=refuse))
    assert (told.value.exit, told.value.hint) == (Exit.UNAVAILABLE, error.hint)  # type: ignore[attr-defined]
