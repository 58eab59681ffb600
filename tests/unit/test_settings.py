"""Flags over environment over .env over defaults; what is wrong is named."""

from pathlib import Path

import pytest

from ingestctl import config
from ingestctl.domain.errors import ConfigurationError
from ingestctl.settings import Settings, env_names


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    known = {n for f in Settings.model_fields.values() for n in env_names(f)}
    for name in list(os.environ):
        if name in known or name.startswith("INGESTCTL_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_nothing_set_is_sqlite_and_a_folder_under_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = config.load()
    assert settings.embedded_database
    assert settings.effective_database_url == f"sqlite:///{tmp_path}/ingestctl/ingestctl.db"
    assert settings.effective_storage_url == f"file://{tmp_path}/ingestctl/objects"
    assert settings.scratch_root == tmp_path / "ingestctl" / "scratch"


def test_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("S3_REGION=from-dotenv\nLOG_LEVEL=debug\n")
    assert config.load().s3_region == "from-dotenv"
    monkeypatch.setenv("S3_REGION", "from-env")
    assert config.load().s3_region == "from-env"
    settings = config.load({"log_level": "ERROR"})
    assert settings.log_level == "ERROR"
    sources = {s.name: s.source for s in config.show(settings, {"log_level": "ERROR"})}
    assert sources["S3_REGION"] == "environment S3_REGION"
    assert sources["LOG_LEVEL"] == "flag"
    assert sources["INGESTCTL_LEASE_SECONDS"] == "default"


def test_an_s3_setting_chooses_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_ENDPOINT", "http://h")
    assert config.load().effective_storage_url == "s3://"
    monkeypatch.setenv("S3_ENDPOINT", "")
    assert config.load().effective_storage_url.startswith("file://")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INGESTCTL_LEASE_SECS", "5", "INGESTCTL_LEASE_SECS.*INGESTCTL_LEASE_SECONDS"),
        ("INGESTCTL_LEASE_SECONDS", "soon", "INGESTCTL_LEASE_SECONDS='soon'"),
        ("INGESTCTL_LEASE_SECONDS", "-1", "INGESTCTL_LEASE_SECONDS='-1'"),
        ("INGESTCTL_HEARTBEAT_SECONDS", "59", "HEARTBEAT.*LEASE"),
        ("INGESTCTL_SOURCE_ALLOW_NETWORKS", "10.0.0.0/99", "ALLOW_NETWORKS"),
        ("ENV", "moon", "ENV='moon'"),
        ("LOG_LEVEL", "loud", "LOG_LEVEL="),
        ("S3_SECRET_KEY_FILE", "/does/not/exist", "S3_SECRET_KEY_FILE"),
    ],
)
def test_wrong_settings_are_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=words) as caught:
        config.load()
    assert caught.value.exit == 13


def test_unknown_names_in_dotenv_are_refused_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("INGESTCTL_LEASE=5\n")
    with pytest.raises(ConfigurationError, match=r"INGESTCTL_LEASE in the \.env"):
        config.load()


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    monkeypatch.setenv("S3_SECRET_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("S3_ACCESS_KEY", "an-access-key")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p%40ss-word@h/db")
    settings = config.load()
    assert settings.s3_secret_key is not None
    assert settings.s3_secret_key.get_secret_value() == "from-a-file"
    assert {"from-a-file", "an-access-key", "p%40ss-word", "p@ss-word"} <= set(settings.secrets())
    shown = " ".join(f"{s.value} {s.source}" for s in config.show(settings)) + repr(settings)
    assert not [s for s in settings.secrets() if s in shown]
    assert "postgresql://***@h/db" in shown


def test_short_leases_bring_their_own_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INGESTCTL_LEASE_SECONDS", "3")
    assert config.load().effective_heartbeat_s == 0.5


@pytest.mark.parametrize(
    ("word", "means"), [("prod", "production"), ("Staging", "staging"), ("/etc/shinit", "local")]
)
def test_env_words(monkeypatch: pytest.MonkeyPatch, word: str, means: str) -> None:
    monkeypatch.setenv("ENV", word)
    assert config.load().env == means


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INGESTCTL_PROXY", "squid:3128", "INGESTCTL_PROXY=.*http://"),
        ("INGESTCTL_PROXY", "http://:3128", "INGESTCTL_PROXY=.*no host"),
        ("INGESTCTL_PROXY", "http://u:s3cret@squid:99999", "INGESTCTL_PROXY=.*port"),
        ("S3_ENDPOINT", "minio:9000", "S3_ENDPOINT='minio:9000'.*http:// or https://"),
        ("INGESTCTL_STORAGE_URL", "ftp://foo", "INGESTCTL_STORAGE_URL='ftp://foo'.*file:///"),
        ("DATABASE_URL", "mysql://u:s3cret@h/d", "DATABASE_URL=.*mysql://.*postgresql://"),
        ("DATABASE_URL", "postgresql://u:s3/cret@h/d", "DATABASE_URL=.*malformed.*Percent-encode"),
        ("DATABASE_URL", "postgresql://u:s3cret@h/d?bogus=1", "DATABASE_URL=.*does not know: bogus"),
        ("S3_BUCKET_VIDEO", "Bad Bucket!", "S3_BUCKET_VIDEO='Bad Bucket!'.*name"),
        ("S3_ACCESS_KEY", "an-access-key", "S3_ACCESS_KEY is set and S3_SECRET_KEY is not"),
    ],
)
def test_what_could_not_work_is_refused_on_load(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=words) as caught:
        config.load()
    assert "cret" not in caught.value.message.replace("SECRET", "")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h1:5432,h2:5433/db?target_session_attrs=read-write&connect_timeout=3",
        "postgres:///db?host=/var/run/postgresql",
        "postgresql+psycopg://u:p%40@[::1]:5432/db?sslmode=require",
        "sqlite:///relative.db",
    ],
)
def test_database_urls_that_work(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert config.load().effective_database_url == url


@pytest.mark.parametrize(
    ("env", "dotenv", "used"),
    [
        ({"DATABASE_URL": "", "DATABASE_URL_FILE": "file"}, "", "environment DATABASE_URL_FILE"),
        ({"DATABASE_URL": "sqlite:///env.db", "DATABASE_URL_FILE": "file"}, "", "environment DATABASE_URL"),
        ({}, "DATABASE_URL_FILE=file\n", ".env DATABASE_URL_FILE"),
        ({"DATABASE_URL": ""}, "DATABASE_URL_FILE=file\n", ".env DATABASE_URL_FILE"),
        ({}, "DATABASE_URL=sqlite:///dotenv.db\nDATABASE_URL_FILE=file\n", ".env DATABASE_URL"),
        ({"DATABASE_URL_FILE": "file"}, "DATABASE_URL=x\n", "environment DATABASE_URL_FILE"),
        ({"DATABASE_URL": ""}, "DATABASE_URL=sqlite:///dotenv.db\n", ".env DATABASE_URL"),
        ({"INGESTCTL_DATABASE_URL_FILE": "file"}, "", "environment INGESTCTL_DATABASE_URL_FILE"),
    ],
)
def test_secret_files_are_read_unless_the_plain_name_says_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, env: dict[str, str], dotenv: str, used: str
) -> None:
    (tmp_path / "file").write_text("sqlite:///file.db\n")
    (tmp_path / ".env").write_text(dotenv)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    settings = config.load()
    expected = "file" if used.endswith("_FILE") else "dotenv" if used.startswith(".env") else "env"
    assert settings.effective_database_url == f"sqlite:///{expected}.db"
    assert {s.name: s.source for s in config.show(settings)}["DATABASE_URL"] == used


def test_the_aws_region_is_taken_where_ours_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert config.load().s3_region == "eu-west-1"
    monkeypatch.setenv("S3_REGION", "eu-central-1")
    assert config.load().s3_region == "eu-central-1"
