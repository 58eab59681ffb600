"""Payloads as production rows hold them, and the API's normal form of a URL."""

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import InvalidPayload
from ingestctl.domain.source import (
    Buckets,
    Source,
    SourceKind,
    check_key,
    normalize_url,
    parse_payload,
    source_of_url,
)

VIDEO = {
    "video_id": "v1",
    "source_type": "external_url",
    "source_uri": "https://h/a.mp4",
    "buckets": Buckets(),
}


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("HTTPS://Example.ORG/Path/", "https://example.org/Path"),
        ("http://h:8080/a/b.mp4?x=1&Y=2#t=3", "http://h:8080/a/b.mp4?x=1&Y=2"),
        ("http://h/a;p=1?q", "http://h/a?q"),
        ("http://h/a;p/b;q", "http://h/a;p/b"),
        ("https://h", "https://h"),
        ("https://h/", "https://h"),
        ("  https://h/x  ", "https://h/x"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("https://user:Pw@H/x", "https://user:Pw@h/x"),
        ("https://www.youtube.com/watch?v=AbC", "https://www.youtube.com/watch?v=AbC"),
    ],
)
def test_normal_form(given: str, normal: str) -> None:
    assert normalize_url(given) == normal
    assert normalize_url(normal) == normal


@pytest.mark.parametrize(
    "given", ["", "h/x", "ftp://h/x", "file:///etc/passwd", "http://", "http:///x", "http://h/a b", "http://h:port/",
              "http://[::1/x", "javascript:alert(1)", "http://h/\x1b[2J", "https://h/" + "a" * 9000],
)  # fmt: skip
def test_what_is_no_url_is_refused_by_name(given: str) -> None:
    with pytest.raises(InvalidPayload, match=r"source\.url"):
        normalize_url(given)


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://youtu.be/x", "youtube"),
        ("https://www.youtube.com/watch?v=x", "youtube"),
        ("https://m.youtube.com/watch?v=x", "youtube"),
        ("https://notyoutube.com/x", "external_url"),
        ("https://youtube.com.evil.org/x", "external_url"),
    ],
)
def test_kind_of_a_url(url: str, kind: str) -> None:
    assert source_of_url(url).kind == kind


def test_a_full_payload_is_authoritative() -> None:
    spec = parse_payload(
        {
            "type": "video_ingestion",
            "version": "2.0",
            "unknown": {"kept": True},
            "source": {"kind": "upload", "upload_ref": "u/1.mp4", "x": 1},
            "artifacts": {
                "video": {"bucket": "bb-video", "object_key": "k/v"},
                "audio": {"bucket": "bb-audio", "object_key": "k/a", "format": "wav"},
            },
            "metadata": {"title": "T"},
        },
        **VIDEO,
    )
    assert spec.source == Source(SourceKind.UPLOAD, "u/1.mp4")
    assert (spec.video, spec.audio) == (ObjectRef("bb-video", "k/v"), ObjectRef("bb-audio", "k/a"))
    assert spec.upload == ObjectRef("uploads", "u/1.mp4")
    assert spec.metadata == {"title": "T"}


@pytest.mark.parametrize("payload", [None, {}, "{}", {"source": None}, {"metadata": None, "artifacts": None}])
def test_empty_payloads_fall_back_to_the_video_row(payload: object) -> None:
    spec = parse_payload(payload, **VIDEO)
    assert spec.source == Source(SourceKind.EXTERNAL_URL, "https://h/a.mp4")
    assert spec.video == ObjectRef("raw-videos", "videos/v1/source.mp4")
    assert spec.audio == ObjectRef("audio-tracks", "videos/v1/audio.wav")


def test_older_uploads_name_object_key() -> None:
    spec = parse_payload({"source": {"kind": "upload", "object_key": "old/key"}}, **VIDEO)
    assert spec.upload == ObjectRef("uploads", "old/key")


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ([], "payload"),
        (7, "payload"),
        ("not json", "payload"),
        ({"source": []}, "payload.source"),
        ({"source": {"kind": "floppy"}}, "source.kind"),
        ({"source": {"kind": "youtube"}}, "source.url"),
        ({"source": {"kind": "youtube", "url": 5}}, "source.url"),
        ({"source": {"kind": "upload"}}, "source.upload_ref"),
        ({"source": {"kind": "upload", "upload_ref": "../x"}}, "source.upload_ref"),
        ({"artifacts": {"video": "x"}}, "payload.artifacts.video"),
        ({"artifacts": {"video": {"bucket": "b/../c"}}}, "artifacts.video.bucket"),
        ({"artifacts": {"audio": {"object_key": "/abs"}}}, "artifacts.audio.object_key"),
    ],
)
def test_bad_payloads_name_the_field(payload: object, field: str) -> None:
    with pytest.raises(InvalidPayload, match=field.replace(".", r"\.")):
        parse_payload(payload, **VIDEO)


@pytest.mark.parametrize(
    "key", ["", "/a", "a//b", "a/../b", "..", "./a", "a/.", "a/", "a\nb", "a\x85b", "x" * 1025, 3, "\ud800"]
)
def test_keys_no_backend_can_hold(key: object) -> None:
    with pytest.raises(InvalidPayload, match="field"):
        check_key(key, "field")


@pytest.mark.parametrize("key", ["a", "-a", "a b/ü.mp4", "videos/x..y/z", "x" * 1024, "…/🎬"])
def test_odd_keys_that_are_fine(key: str) -> None:
    assert check_key(key, "field") == key
