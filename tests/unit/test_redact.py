"""Secrets stay out; what only looks a little like one stays readable."""

import pytest

from ingestctl.domain.redact import Redactor


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://u:p@h/x?X-Amz-Signature=abc&b=1#f", "see https://***@h/x?X-Amz-Signature=***&b=1#f"),
        ("postgresql://app:pw@db/x", "postgresql://***@db/x"),
        ("password=abc", "password=***"),
        ("'S3_SECRET_KEY': 'zzz'", "'S3_SECRET_KEY': '***'"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("https://h/v?token=aa&t=5", "https://h/v?token=***&t=5"),
        ("GET /x?sig=abc&a=1", "GET /x?sig=***&a=1"),
        ("https://youtube.com/watch?v=dQw4w9WgXcQ", "https://youtube.com/watch?v=dQw4w9WgXcQ"),
        ("HTTP Error 403: Forbidden", "HTTP Error 403: Forbidden"),
    ],
)
def test_what_looks_like_a_secret(text: str, shown: str) -> None:
    assert Redactor()(text) == shown
    assert Redactor()(shown) == shown


def test_known_secrets_anywhere() -> None:
    redact = Redactor(["hunter2-hunter2", "minio", ""])
    assert redact("xhunter2-hunter2y") == "x***y"
    assert redact("user minio at minioadmin") == "user *** at minioadmin"


def test_data_is_redacted_in_depth() -> None:
    redact = Redactor(["a-very-long-secret"])
    data = {"a": ["x a-very-long-secret", {"api_key": "k", "object_key": "videos/1"}], "n": 5, "token": "t"}
    assert redact.data(data) == {
        "a": ["x ***", {"api_key": "***", "object_key": "videos/1"}],
        "n": 5,
        "token": "***",
    }


def test_deep_data_ends() -> None:
    deep: object = "x"
    for _ in range(5000):
        deep = [deep]
    Redactor().data(deep)


@pytest.mark.parametrize(
    "text", ["a-" * 50_000, "https://" * 20_000, "x://" + "@" * 50_000, "?" * 100_000, "&=" * 50_000]
)
def test_hostile_text_ends(text: str) -> None:
    Redactor(["abc"])(text)
