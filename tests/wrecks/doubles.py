"""Wrecks in which the same media is in more than one place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingestctl.domain.artifact import ObjectRef
from tests.wrecks.breaks import never_stored, staged_with_objects, video_missing
from tests.wrecks.yard import OTHERS, OURS

if TYPE_CHECKING:
    from tests.wrecks.yard import Yard


def source_of_another(y: Yard) -> None:
    """The same source in another spelling is another video, which holds it already."""
    never_stored(y)
    y.sql("UPDATE videos SET source_uri = :u WHERE id = :id", u=y.url.replace("http:", "https:"), id=OTHERS)


def bytes_of_another(y: Yard) -> None:
    """What the failed job stored, whole, is the other video's media, byte for byte."""
    staged_with_objects(y)
    for ref, data in zip((y.video, y.audio), y.media.others, strict=True):
        y.damage(ref, data)
        y.record_what_is_there(ref)
    y.forget_video()


def stored_under_another_key(y: Yard) -> None:
    """The payload names another key than the one the artifacts were stored under."""
    keys = {"video": f"moved/{OURS}.mp4", "audio": f"moved/{OURS}.wav"}
    y.set_json("jobs.payload", {"artifacts": {name: {"object_key": key} for name, key in keys.items()}})


def upload_source_lost(y: Yard) -> None:
    """Our copy of an upload is gone; the upload itself is the only original."""
    upload = ObjectRef(y.buckets[2], "incoming/ours.mp4")
    y.hands.put(upload, y.media.ours[0], "video/mp4")
    y.sql("UPDATE videos SET source_type = 'upload', source_uri = :k WHERE id = :id", k=upload.key, id=OURS)
    y.set_json("jobs.payload", {})
    video_missing(y)
