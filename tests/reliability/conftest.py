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


class Company:
    """The warm parent that plays are forked from, made when first asked and again after it was stopped."""

    def __init__(self, log: Path) -> None:
        self.name = uuid.uuid4().hex[:12]
        """Part of the names of the buckets that all its plays share."""
        self._log = log
        self._process: subprocess.Popen[str] | None = None

    def play(self, module: str, spec: dict[str, Any]) -> dict[str, Any]:
        """The report of one play. Whatever interrupts it ends the company and all it has started."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.reliability.company"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log.open("w"),
                text=True,
                cwd=ROOT,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"module": module, "spec": spec}) + "\n")
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline() or "{}")
        except BaseException:
            self.stop()
            raise
        assert "report" in answer, answer.get("failed") or self._log.read_text()[-6000:]
        report: dict[str, Any] = answer["report"]
        return report

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()  # its forks die with it
            process.communicate()


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    made = Company(tmp_path_factory.mktemp("company") / "stderr.txt")
    yield made
    made.stop()


@pytest.fixture
def play(
    request: pytest.FixtureRequest, tmp_path: Path, source: tuple[str, Path], company: Company
) -> Callable[..., dict[str, Any]]:
    """Play a module's piece on SQLite and a folder or on PostgreSQL and S3; return its report."""

    def run(module: str, kind: str, *, database: str = "platform_migrated", **spec: Any) -> dict[str, Any]:
        server = None
        if kind == "server":
            postgres: PostgresServer = request.getfixturevalue("postgres")
            s3: S3Server = request.getfixturevalue("s3_server")
            postgres.create_database("platform")
            url = postgres.create_database(database)
            server = asdict(Server(url, s3.endpoint, s3.access, s3.secret, company.name))
        source_url, media = source
        folder = tmp_path / uuid.uuid4().hex[:8]
        folder.mkdir()
        spec |= {"folder": str(folder), "url": source_url, "media": str(media), "server": server}
        report = company.play(module, spec)
        if server is not None and not report["violations"]:
            postgres.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")
        return report

    return run
