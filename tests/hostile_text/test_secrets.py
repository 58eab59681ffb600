"""Secrets planted in every setting, address and error path; nothing printed, logged or stored holds one.

The one exception is a source's own address, which its worker needs whole: ``jobs.payload`` (``source.url``,
``dedupe.key``) and ``videos.source_uri``, by which the platform knows the video.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.hostile_text.calls import call
from tests.hostile_text.secrets import Search, Secrets
from tests.services.source import SourceServer, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.worlds import World
    from tests.services.s3 import S3Server

NOWHERE = "127.0.0.1:9"
SIGNED = (
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sig",
    "token",
    "Signature",
    "Policy",
)
EVERYWHERE = (
    ("jobs",),
    ("escalate",),
    ("incidents", "list"),
    ("verify-artifacts", "--all"),
    ("verify-artifacts", "--status=failed"),
    ("retry", "--status=failed", "--dry-run"),
    ("cleanup", "--status=failed", "--dry-run"),
    ("db", "status"),
    ("doctor",),
    ("doctor", "--show-config"),
)
ONE_JOB = ("inspect", "logs", "verify-artifacts", "retry --dry-run", "cleanup --dry-run", "run")
"""Of each job."""
FORMATS = (("--output=json",), ("--output=table",), ("--output=ndjson",), ())
"""The last: a terminal."""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def planted(world: World, tmp_path_factory: pytest.TempPathFactory) -> Secrets:
    """The world's settings, each with a secret wherever it may hold one, and all of it working."""
    secrets, folder = Secrets(), tmp_path_factory.mktemp("planted")
    cookies = folder / "secret-cookies.txt"
    cookie = f"127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t{secrets.plant('cookie')}\n"
    cookies.write_text("# Netscape HTTP Cookie File\n" + cookie)
    key = folder / "secret-api-key"
    key.write_text(secrets.plant("API key of a file"))
    hooks = f"json://n:{secrets.plant('hook password')}@{NOWHERE}/{secrets.plant('hook path')}"
    world.env |= {
        "INGESTCTL_API_URL": f"http://api:{secrets.plant('API password')}@{NOWHERE}/v1",
        "INGESTCTL_API_KEY_FILE": str(key),
        "INGESTCTL_NOTIFY_URLS": f"{hooks} json://{NOWHERE}/?token={secrets.plant('hook token')}",
        "INGESTCTL_COOKIES_FILE": str(cookies),
        "INGESTCTL_LOG_DIR": str(world.home / "logs"),
        "INGESTCTL_RETRY_ATTEMPTS": "1",
        "INGESTCTL_LEASE_SECONDS": "600",
        "INGESTCTL_HEARTBEAT_SECONDS": "60",
        "LOG_LEVEL": "DEBUG",
    }
    if world.kind != "sqlite":
        password = secrets.plant("database password")
        world.env["DATABASE_URL"] = world.env["DATABASE_URL"].replace("postgres@", f"postgres:{password}@")
        secret = folder / "secret-s3"
        secret.write_text(secrets.know("S3 secret key of a file", world.env.pop("S3_SECRET_KEY")))
        world.env["S3_SECRET_KEY_FILE"] = str(secret)
        secrets.know("S3 access key", world.env["S3_ACCESS_KEY"])
    return secrets


@pytest.fixture(scope="module")
def broken(planted: Secrets) -> dict[str, dict[str, str]]:
    """Settings by which a service cannot be reached, or refuses, each with secrets of its own."""
    plant = planted.plant
    return {
        "database": {"DATABASE_URL": f"postgresql://u:{plant('dead database password')}@{NOWHERE}/x"},
        "malformed database": {"DATABASE_URL": f"postgresql://u:{plant('database password/')}@{NOWHERE}/x"},
        "no such database": {"DATABASE_URL": f"mysql://u:{plant('mysql password')}@{NOWHERE}/x"},
        "store": {
            "S3_ENDPOINT": f"http://{plant('endpoint user')}:{plant('endpoint password')}@{NOWHERE}",
            "S3_ACCESS_KEY": plant("dead access key"),
            "S3_SECRET_KEY": plant("dead secret key"),
        },
        "storage URL": {"INGESTCTL_STORAGE_URL": f"s3://a:{plant('storage URL password')}@bucket?x=1"},
        "proxy": {"INGESTCTL_PROXY": f"http://p:{plant('proxy password')}@{NOWHERE}"},
        "malformed proxy": {"INGESTCTL_PROXY": f"http//p:{plant('odd proxy password')}@{NOWHERE}"},
        "API": {"INGESTCTL_API_URL": f"ftp://a:{plant('odd API password')}@{NOWHERE}"},
        "misspelt": {"INGESTCTL_API_KYE": plant("misspelt key")},
        "missing file": {"S3_SECRET_KEY_FILE": "/no/such/file"},
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SourceServer]:
    server = start(tmp_path_factory.mktemp("signed"), host="127.0.0.1")
    yield server
    server.close()


def _signed(source: SourceServer, secrets: Secrets, name: str, fault: str | None) -> str:
    pairs = "&".join(f"{key}={secrets.plant(f'{key} of {name}')}" for key in SIGNED)
    address = source.url("clip.mp4", fault=fault).removeprefix("http://")
    return f"http://u:{secrets.plant(f'password of {name}')}@{address}?Expires=1999999999&{pairs}"


def test_secrets_are_nowhere(
    world: World,
    planted: Secrets,
    broken: dict[str, dict[str, str]],
    source: SourceServer,
    samples: Any,
    request: pytest.FixtureRequest,
    figures: Callable[[str], None],
) -> None:
    (source.root / "clip.mp4").write_bytes(samples.mp4().read_bytes())
    search = Search(world, planted)
    urls = {
        n: _signed(source, planted, n, f) for n, f in (("whole", None), ("refused", "403"), ("torn", "500"))
    }
    urls["nowhere"] = f"http://{NOWHERE}/x.mp4?sig={planted.plant('sig of nowhere')}"
    search.call_all("submit", *urls.values())
    jobs = [job["job_id"] for job in call(world, "submit", *urls.values(), "--output=json").data["jobs"]]
    _use(search, jobs, broken)
    search.rows()
    search.files(world.home)
    if world.kind != "sqlite":
        s3: S3Server = request.getfixturevalue("s3_server")
        search.objects(s3.client())
    assert not search.finds, "\n".join(sorted(set(search.finds)))
    for url in urls.values():
        [row] = world.query("SELECT id FROM videos WHERE source_uri = ?", url)
        [job] = world.query("SELECT payload FROM jobs WHERE video_id = ?", row["id"])
        assert job["payload"]["source"]["url"] == url, "the worker's copy is whole"
    looked = ", ".join(f"{n} {kind}" for kind, n in search.places.items())
    figures(f"secrets, {world.kind}: {len(planted.planted)} planted, {looked} searched, 0 found")


def _use(search: Search, jobs: list[str], broken: dict[str, dict[str, str]]) -> None:
    first, *rest = jobs
    done = search.call("run", first, "--output=json")
    assert done.data["status"] == "succeeded", done.stdout
    for job in rest:
        assert search.call("run", job).code in (15, 20)
    for number, env in enumerate(broken.values()):
        search.call("run", rest[0], "--output=json", env=env)
        words = ("doctor", "--show-config") if number % 2 else ("retry", rest[0], "--anyway", "--dry-run")
        search.call(*words, env=env, terminal=number % 4 > 1)
    search.call("retry", rest[0], "--anyway", "--via=api", "--output=json")
    search.call(
        "escalate",
        "--open",
        "--archive",
        "--notify",
        "--reason=look",
        env={"INGESTCTL_ESCALATE_SOURCE_JOBS": "1"},
    )
    incidents = call(search.world, "incidents", "list", "--output=json").data["incidents"]
    for incident in incidents:
        search.call_all("incidents", "show", incident["id"])
        search.call("incidents", "export", incident["id"])
    for number, job in enumerate(jobs[:3]):
        for turn, words in enumerate(ONE_JOB):
            output = FORMATS[(number + turn) % len(FORMATS)]
            search.call(*words.split(), job, *output, terminal=not output)
    for number, fixed in enumerate(EVERYWHERE):
        search.call(*fixed, *(["--output=json"] if number % 2 else []), terminal=number % 2 == 0)
    words = [s for s in search.secrets.planted.values() if "/" not in s]
    search.call("explain", *(f"HTTP Error 403: https://u:{s}@h/x?sig={s} password={s}" for s in words))
