"""Fixtures of the acceptance tests: worlds, ready or not yet set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.worlds import World, make_world

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.services.s3 import S3Server

KINDS = ("sqlite", "postgres", "platform")


@pytest.fixture(scope="module")
def new_world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., World]]:
    """Make a world of a kind, set up with ``ingestctl init`` unless ``ready=False``."""
    made: list[World] = []

    def make(kind: str, *, ready: bool = True, s3: S3Server | None = None) -> World:
        postgres = None if kind == "sqlite" else request.getfixturevalue("postgres")
        server = s3 or (None if kind == "sqlite" else request.getfixturevalue("s3_server"))
        world = make_world(kind, tmp_path_factory.mktemp(kind) / "home", postgres, server)
        made.append(world)
        if ready:
            done = world.cli("init")
            assert done.code == 0, done.stdout + done.stderr
        return world

    yield make
    for world in made:
        world.close()
