"""The stage that faults are played on: one for the session."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.faults.stage import Stage, stage_of
from tests.media_samples import Samples
from tests.reliability.places import Server
from tests.reliability.warm import Parent
from tests.services.source import start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.services.postgres import PostgresServer
    from tests.services.s3 import S3Server


@pytest.fixture(scope="session")
def stage(
    postgres: PostgresServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("faults")
    media = Samples(folder / "source", seconds=1).mp4()
    source = start(media.parent, "127.0.0.1")
    url = postgres.create_database("migrated")
    server = Server(url, s3_server.endpoint, s3_server.access, s3_server.secret, uuid.uuid4().hex[:12])
    parent = Parent()
    try:
        yield stage_of(parent, folder / "places", server, source.url(media.name), media)
    finally:
        parent.close()
        source.close()
