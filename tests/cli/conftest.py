"""A world with a handful of jobs in every state, made by submit and by plain SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.acceptance.conftest import new_world as new_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World

EVIL = "a\x1b[31mred\x07 \u202egnp.exe\u202c [bold]x[/bold] \x9b2J\r\nnext\tcell \u200bzero"
SIGNED = "https://media.example/signed.mp4?X-Amz-Signature=abcdef0123456789"
NAMES = ("plain", "evil", "failed", "done", "stuck", "signed")


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    """SQLite and a folder with six jobs; ``world.env`` is clean."""
    return seeded(new_world("sqlite"))


@pytest.fixture(scope="module")
def jobs(world: World) -> dict[str, str]:
    """Job ids by name."""
    rows = world.query("SELECT jobs.id, source_uri FROM jobs JOIN videos ON videos.id = video_id")
    return {next(n for n in NAMES if n in row["source_uri"]): row["id"] for row in rows}


def seeded(world: World) -> World:
    urls = [SIGNED if n == "signed" else f"https://media.example/{n}.mp4" for n in NAMES]
    ids = dict(zip(NAMES, world.submit(*urls), strict=True))
    update = "UPDATE jobs SET status = ?, error_message = ?, ingestion_phase = ? WHERE id = ?"
    world.query(update, "failed", f"HTTP Error 403 {EVIL}", None, ids["failed"])
    world.query(update, "completed", None, None, ids["done"])
    world.query(update, "running", None, "processing", ids["stuck"])
    world.query(update, "pending", None, None, ids["plain"])
    world.query("UPDATE videos SET title = ? WHERE source_uri LIKE '%evil%'", EVIL)
    world.query(
        "INSERT INTO job_runs (id, job_id, attempt, status, error_code, error_message, metadata, created_at,"
        " updated_at) SELECT 'run-failed', id, 1, 'failed', 'download_blocked', error_message, '{}',"
        " created_at, updated_at FROM jobs WHERE id = ?",
        ids["failed"],
    )
    return world
