"""Reading objects with patience, but not for ever: a store that dribbles must not hang a check."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ingestctl.domain.errors import DeadlineExceeded, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ingestctl.domain.stop import Stop
    from ingestctl.storage.base import ObjectInfo, Storage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one object may take to read: a base in seconds, and its size at the slowest useful speed."""

    base_s: float = 120.0
    bytes_per_s: float = 1024 * 1024

    def seconds(self, size_bytes: int) -> float:
        """The deadline for an object of that size."""
        return self.base_s + size_bytes / self.bytes_per_s


def sha256_read(
    storage: Storage, info: ObjectInfo, patience: Patience, stop: Stop, into: Path | None = None
) -> str:
    """SHA-256 (hex) of the object's bytes as the store returns them now, kept in ``into`` if given.

    Only the object that was looked at (its ETag), and only all of it, counts. Raises DeadlineExceeded,
    ObjectChanged, ObjectMissing, StorageUnavailable, OSError (scratch), or what ``stop`` was asked with.
    """

    def work(check: Callable[[], None]) -> str:
        digest, size = hashlib.sha256(), 0
        file = into.open("wb") if into else None
        try:
            with storage.read(info.ref, if_match=info.etag) as chunks:
                for chunk in chunks:
                    check()
                    digest.update(chunk)
                    size += len(chunk)
                    if file:
                        file.write(chunk)
        finally:
            if file:
                file.close()
        if size != info.size_bytes:
            raise StorageUnavailable(
                f"storage gave {size} bytes of {info.ref} and says that it has {info.size_bytes}"
            )
        return digest.hexdigest()

    return within(patience.seconds(info.size_bytes), f"reading {info.ref}", work, stop)


def within(seconds: float, what: str, work: Callable[[Callable[[], None]], T], stop: Stop) -> T:
    """Run ``work`` for at most ``seconds``; it is given a check to call now and then.

    On a thread of its own, which is left behind when it hangs in a call that does not return: a
    network read that gets a byte now and then never times out by itself.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    ended, given_up = threading.Event(), threading.Event()

    def check() -> None:
        stop.check()
        if given_up.is_set():
            raise DeadlineExceeded(f"{what} was given up")

    def body() -> None:
        try:
            results.append(work(check))
        except BaseException as error:  # noqa: BLE001  (carried over to the caller)
            failures.append(error)
        finally:
            ended.set()

    threading.Thread(target=body, name="read", daemon=True).start()
    until = time.monotonic() + seconds
    try:
        while not ended.wait(min(0.2, max(0.0, until - time.monotonic()))):
            stop.check()
            if time.monotonic() >= until:
                raise DeadlineExceeded(f"{what} took longer than {seconds:.0f} s", cause="storage_error")
    finally:
        given_up.set()
    if failures:
        raise failures[0]
    return results[0]
