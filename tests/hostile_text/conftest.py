"""Worlds that hostile names and text are fed to: SQLite and a folder, PostgreSQL and S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.conftest import new_world as new_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World

KINDS = ("sqlite", "postgres")


@pytest.fixture(scope="module", params=KINDS)
def world(request: pytest.FixtureRequest, new_world: Callable[..., World]) -> World:
    return new_world(request.param)
