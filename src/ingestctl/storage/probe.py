"""The object with which a check finds out what can be done in a bucket, and its removal after a crash."""

from __future__ import annotations

import contextlib
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import ObjectChanged

if TYPE_CHECKING:
    from datetime import datetime

    from ingestctl.storage.base import Storage

PREFIX = ".ingestctl/probe-"
STALE = timedelta(minutes=5)
"""No check takes so long: an older probe is a dead one's."""


def new_probe(bucket: str) -> ObjectRef:
    """A key that no other check uses."""
    return ObjectRef(bucket, f"{PREFIX}{uuid.uuid4().hex}")


def sweep(storage: Storage, bucket: str, now: datetime) -> None:
    """Remove the probes, and their uploads, of checks that were killed. ``now`` is by the store's clock."""
    for info in storage.list_objects(bucket, PREFIX):
        if info.modified_at < now - STALE:
            with contextlib.suppress(ObjectChanged):
                storage.delete(info.ref, if_match=info.etag)
    for upload in storage.unfinished(bucket, PREFIX):
        if upload.started_at < now - STALE:
            storage.abort(upload)
