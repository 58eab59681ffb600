"""What the AWS default chain adds to the settings, and what storage errors say of where they happened."""

from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from ingestctl.domain.errors import BucketMissing, ConfigurationError, StorageUnavailable
from ingestctl.storage.s3_client import ClientBox, S3Options
from ingestctl.storage.s3_errors import ours

KEYS = {"access_key": "an-access-key", "secret_key": "a-secret-key"}


@pytest.fixture(autouse=True)
def _no_profile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def _region(region: str | None = None) -> str:
    return ClientBox(S3Options(region=region, **KEYS)).s3.meta.region_name


def test_a_profiles_region_is_used_where_none_is_set(tmp_path: Path) -> None:
    assert _region() == "us-east-1"
    (tmp_path / "config").write_text("[default]\nregion = eu-north-1\n")
    assert _region() == "eu-north-1"
    assert _region("eu-central-1") == "eu-central-1"


def test_what_keeps_the_client_from_being_made_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="aws_access_key_id") as half:
        _ = ClientBox(S3Options(secret_key="hidden")).s3
    assert "S3_ACCESS_KEY" in half.value.hint
    assert "hidden" not in str(half.value)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigurationError, match="nobody") as unknown:
        _region()
    assert "AWS_PROFILE" in unknown.value.hint


def test_the_endpoint_is_named_without_what_is_secret() -> None:
    url = "http://user:pw@minio.example:9000/b/k?X-Amz-Signature=abc"
    found = ours(EndpointConnectionError(endpoint_url=url, error="refused"), "bucket b")
    assert isinstance(found, StorageUnavailable)
    assert found.message.startswith("storage at http://minio.example:9000 could not be reached")
    assert not any(secret in found.message for secret in ("pw", "abc", "user"))


@pytest.mark.parametrize(
    ("what", "words"),
    [("bucket raw", "bucket raw does not exist"), ("raw/key", "the bucket of raw/key does not exist")],
)
def test_a_missing_bucket_is_named_once(what: str, words: str) -> None:
    found = ours(ClientError({"Error": {"Code": "NoSuchBucket"}}, "HeadBucket"), what)
    assert isinstance(found, BucketMissing)
    assert found.message == words
