"""The only way to remove an object: with a proof, made by looking at that very object just now.

Nothing that the database believes can be turned into one. A proof names the ETag that was seen, and
the removal is conditional on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import ObjectRef, Verdict
from ingestctl.domain.errors import Conflict, ObjectChanged, StorageUnavailable
from ingestctl.ops.reading import Patience, sha256_read

if TYPE_CHECKING:
    from ingestctl.domain.plan import Item
    from ingestctl.domain.stop import Stop
    from ingestctl.domain.verification import Verification
    from ingestctl.storage.base import ObjectInfo, Storage

_SEAL = object()


@dataclass(frozen=True, slots=True)
class Proof:
    """This object may go. Made by the functions of this module alone."""

    info: ObjectInfo
    because: str
    _seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self._seal is not _SEAL:
            raise TypeError("a Proof is made by looking at the object: prove_condemned, prove_copied, ...")


def prove_condemned(storage: Storage, item: Item, seen: Verification) -> Proof | None:
    """A fresh verification condemns the object as the plan does, and the store shows that object now.

    None if the object is gone. Raises StorageUnavailable if the check could not run again, Conflict if it
    finds something else, ObjectChanged if another object is there.
    """
    if item.ref is None or item.etag is None:
        raise Conflict(f"{item.subject} of job {item.job_id}: no object was named", job_id=item.job_id)
    info = storage.stat(item.ref)
    if info is None:
        return None
    if (info.etag, info.size_bytes) != (item.etag, item.size_bytes):
        raise ObjectChanged(
            f"{item.ref} is another object now ({info.size_bytes} bytes); it was left as it is",
            job_id=item.job_id,
        )
    found = next((f for f in seen.findings if f.subject is item.subject and f.ref == item.ref), None)
    if found is None or found.verdict is Verdict.UNKNOWN:
        raise StorageUnavailable(
            f"{item.ref} could not be checked again, so it was not touched"
            + (f": {found.evidence}" if found else ""),
            job_id=item.job_id,
        )
    if (found.verdict, found.etag, found.size_bytes) != (item.verdict, item.etag, item.size_bytes):
        raise Conflict(
            f"{item.ref} was {item.verdict} and is {found.verdict} now; it was left as it is",
            job_id=item.job_id,
        )
    if found.bytes_intact and not item.bytes_intact:
        raise Conflict(
            f"{item.ref} has the bytes on record, which the plan did not know; it was left as it is",
            job_id=item.job_id,
        )
    return Proof(info, f"{found.verdict}: {found.evidence}", _SEAL)


def prove_copied(
    storage: Storage, original: ObjectInfo, copy: ObjectInfo, sha256: str | None, stop: Stop
) -> Proof:
    """The bytes of ``copy``, read now, are those of ``original``, so that one of the two may go.

    Raises ObjectChanged if they are not; storage's errors if either cannot be read.
    """
    patience = Patience()
    wanted = sha256 or sha256_read(storage, original, patience, stop)
    if copy.size_bytes != original.size_bytes or sha256_read(storage, copy, patience, stop) != wanted:
        raise ObjectChanged(f"{copy.ref} is not a true copy of {original.ref}; both were left as they are")
    return Proof(original, f"its bytes (SHA-256 {wanted[:12]}…) are under {copy.ref} too", _SEAL)


def prove_unchanged(storage: Storage, info: ObjectInfo, because: str) -> Proof | None:
    """The store shows the very object that was listed. For copies in quarantine only."""
    if not info.ref.key.startswith("quarantine/"):
        raise Conflict(f"{info.ref} is not in quarantine; it was left as it is")
    there = storage.stat(info.ref)
    if there is None:
        return None
    if (there.etag, there.size_bytes) != (info.etag, info.size_bytes):
        raise ObjectChanged(f"{info.ref} is another object than was listed; it was left as it is")
    return Proof(there, because, _SEAL)


def remove(storage: Storage, proof: Proof) -> bool:
    """Delete the object of the proof, if it still is that object. False if it was gone already.

    Raises StorageUnavailable if the store says that it did so and goes on showing the object.
    """
    ref: ObjectRef = proof.info.ref
    removed = storage.delete(ref, if_match=proof.info.etag)
    there = storage.stat(ref)
    if there is not None and there.etag == proof.info.etag:
        raise StorageUnavailable(f"storage says that it deleted {ref}, and shows it still")
    return removed
