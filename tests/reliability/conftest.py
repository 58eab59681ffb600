"""What the crash matrix and the races are played on."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.media_samples import Samples
from tests.reliability.places import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.services.postgres import PostgresServer
    from tests.services.s3 import S3Server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A second of video, and its URL at a server in a process of its own."""
    folder = tmp_path_factory.mktemp("reliability-source")
    media = Samples(folder, seconds=1).mp4()
    command = [sys.executable, "-m", "tests.services.source", "--root", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        yield f"{url}/files/{media.name}", media
        process.terminate()


@pytest.fixture
def play(
    request: pytest.FixtureRequest, tmp_path: Path, source: tuple[str, Path]
) -> Callable[..., dict[str, Any]]:
    """Run a driver module in a process of its own, on SQLite and a folder or on PostgreSQL and S3."""

    def run(module: str, kind: str, *, database: str = "platform_migrated", **spec: Any) -> dict[str, Any]:
        server = None
        if kind == "server":
            postgres: PostgresServer = request.getfixturevalue("postgres")
            s3: S3Server = request.getfixturevalue("s3_server")
            postgres.create_database("platform")
            url = postgres.create_database(database)
            server = asdict(Server(url, s3.endpoint, s3.access, s3.secret, uuid.uuid4().hex[:12]))
        url, media = source
        folder = tmp_path / "worlds"
        folder.mkdir()
        spec |= {"folder": str(folder), "url": url, "media": str(media), "server": server}
        done = subprocess.run(
            [sys.executable, "-m", f"tests.reliability.{module}"],
            input=json.dumps(spec),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr[-6000:]
        report: dict[str, Any] = json.loads(done.stdout)
        return report

    return run
