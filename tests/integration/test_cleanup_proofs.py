"""What may be removed: only what a look, taken just now, condemns as the plan does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import ObjectRef, Verdict
from ingestctl.domain.errors import Conflict, ObjectChanged, StorageUnavailable
from ingestctl.domain.plan import Action
from ingestctl.domain.stop import Stop
from ingestctl.ops.planning import Terms
from ingestctl.ops.proof import prove_condemned, prove_copied
from ingestctl.storage.base import UploadRequest
from tests.integration.cleanup_world import Site, folder_place

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.plan import Item
    from ingestctl.domain.verification import Verification
    from ingestctl.storage.base import ObjectInfo


@pytest.fixture
def condemned(tmp_path: Path, sqlite_template: Path) -> tuple[Site, Item, Verification]:
    """An item that may go, and the look that says so."""
    site = Site(folder_place(sqlite_template, tmp_path))
    found = site.planner().survey([site.with_bad_audio()], Terms())
    (item,) = (i for i in found.plan.items if i.action is Action.QUARANTINE)
    return site, item, found.seen[0]


def judged(seen: Verification, item: Item, verdict: Verdict) -> Verification:
    """The same look with another verdict on that object."""
    told = (replace(f, verdict=verdict) if f.ref == item.ref else f for f in seen.findings)
    return replace(seen, findings=tuple(told))


def test_a_look_that_condemns_it_too_is_a_proof(condemned: tuple[Site, Item, Verification]) -> None:
    site, item, seen = condemned
    proof = prove_condemned(site.place.storage, item, seen)
    assert proof is not None
    assert proof.info.ref == item.ref


@pytest.mark.parametrize("verdict", [Verdict.INTACT, Verdict.FOREIGN, Verdict.PARTIAL])
def test_a_look_that_finds_otherwise_is_none(
    condemned: tuple[Site, Item, Verification], verdict: Verdict
) -> None:
    site, item, seen = condemned
    with pytest.raises(Conflict):
        prove_condemned(site.place.storage, item, judged(seen, item, verdict))


def test_a_look_that_could_not_be_taken_is_none(condemned: tuple[Site, Item, Verification]) -> None:
    site, item, seen = condemned
    unsure = judged(seen, item, Verdict.UNKNOWN)
    with pytest.raises(StorageUnavailable):
        prove_condemned(site.place.storage, item, unsure)
    with pytest.raises(StorageUnavailable):
        prove_condemned(site.place.storage, replace(item, verdict=Verdict.UNKNOWN), unsure)


@pytest.mark.parametrize("copied", [b"the very bytes?", b"the very byte", b""])
def test_a_copy_of_other_bytes_is_no_proof(tmp_path: Path, sqlite_template: Path, copied: bytes) -> None:
    """Not even one of the same size."""
    site = Site(folder_place(sqlite_template, tmp_path))
    original = _put(site, "original", b"the very bytes!")
    assert prove_copied(site.place.storage, original, _put(site, "true", b"the very bytes!"), None, Stop())
    with pytest.raises(ObjectChanged):
        prove_copied(site.place.storage, original, _put(site, "untrue", copied), None, Stop())


def _put(site: Site, name: str, body: bytes) -> ObjectInfo:
    ref = ObjectRef(site.place.buckets.video, name)
    session = site.place.storage.begin(UploadRequest(ref, "video/mp4"))
    session.append(body)
    return session.publish()
