"""Yards: SQLite and a folder, or PostgreSQL and the real S3 server; each fresh."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl import config
from ingestctl.settings import Settings, env_names
from ingestctl.wiring import Wiring
from tests.wrecks.hands import FolderHands, S3Hands
from tests.wrecks.yard import Media, Yard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services.source import SourceServer


@pytest.fixture(scope="session")
def media(_source_server: SourceServer) -> Media:
    """Served by the source as ``wrecks/…``."""
    return Media.make(_source_server.root / "wrecks")


@pytest.fixture(params=["folder", "s3"])
def yard(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    media: Media,
    source_server: SourceServer,
) -> Iterator[Yard]:
    """A whole job to wreck, and a bystander."""
    for name in [n for n in os.environ if n.startswith(("INGESTCTL_", "S3_", "DATABASE_URL"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    terms = {
        "home": tmp_path / "home",
        "source_allow_networks": ("127.0.0.1/32",),
        "min_free_bytes": 0,
        "socket_timeout_s": 2.0,
        "retry_base_s": 0.05,
        "s3_max_attempts": 2,
        **(_sqlite(request, tmp_path) if request.param == "folder" else _postgres(request)),
    }
    wiring = Wiring(config.load(terms))
    hands = (
        FolderHands(tmp_path / "home" / "objects")
        if request.param == "folder"
        else S3Hands(request.getfixturevalue("s3_client"))
    )
    made = Yard(wiring, hands, media, source_server, environment(terms))
    yield made
    made.close()


def environment(terms: dict[str, Any]) -> dict[str, str]:
    """The same settings, for the program as a process of its own."""
    named = {env_names(Settings.model_fields[name])[0]: value for name, value in terms.items()}
    words = {k: ",".join(v) if isinstance(v, tuple) else str(v) for k, v in named.items()}
    return {"PATH": os.environ["PATH"], "HOME": str(terms["home"]), **words}


def _sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "home").mkdir()
    shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "home" / "ingestctl.db")
    return {}


def _postgres(request: pytest.FixtureRequest) -> dict[str, Any]:
    server, fresh = request.getfixturevalue("s3_server"), request.getfixturevalue("s3_bucket_name")
    return {
        "database_url": request.getfixturevalue("postgres").create_database("migrated"),
        "s3_endpoint": server.endpoint,
        "s3_access_key": server.access,
        "s3_secret_key": server.secret,
        "video_bucket": fresh(),
        "audio_bucket": fresh(),
        "uploads_bucket": fresh(),
    }
