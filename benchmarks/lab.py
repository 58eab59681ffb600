"""Where the figures are measured: PostgreSQL, an S3 server and a web server, each real, each on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import naive
from benchmarks.command import Ran, run
from ingestctl.media.tools import find_tools, plain_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / ".bench"
SCRIPTS = Path(sys.executable).parent
INGESTCTL = SCRIPTS / "ingestctl"
AWS = KEPT / "aws" / "bin" / "aws"
BUCKETS = ("raw-videos", "audio-tracks", "uploads")


@dataclass(frozen=True)
class Lab:
    """The services, and the programs with the environment that points them there."""

    rounds: int
    samples: Path
    source_url: str
    s3: Mapping[str, str]
    stack: contextlib.ExitStack
    scratch: Path

    @cached_property
    def ffmpeg(self) -> Path:
        return find_tools().ffmpeg

    @cached_property
    def path(self) -> str:
        tools = plain_names(find_tools(), KEPT / "bin")
        return os.pathsep.join([str(tools), str(SCRIPTS), os.environ.get("PATH", os.defpath)])

    @cached_property
    def database_url(self) -> str:
        """A fresh PostgreSQL, started by the first figure that asks for it."""
        facts = self.stack.enter_context(service("tests.services.postgres"))
        return str(facts["url"])

    def aws_env(self, endpoint: str | None = None) -> dict[str, str]:
        return {
            **_clean_environment(),
            "PATH": self.path,
            "HOME": str(self.scratch),
            "AWS_ACCESS_KEY_ID": self.s3["access"],
            "AWS_SECRET_ACCESS_KEY": self.s3["secret"],
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint or self.s3["endpoint"],
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def worker_env(self, endpoint: str | None = None) -> dict[str, str]:
        return {
            **_clean_environment(),
            "PATH": self.path,
            "HOME": str(self.scratch),
            "INGESTCTL_HOME": str(self.scratch / "home"),
            "DATABASE_URL": self.database_url,
            "INGESTCTL_STORAGE_URL": "s3://",
            "S3_ENDPOINT": endpoint or self.s3["endpoint"],
            "S3_ACCESS_KEY": self.s3["access"],
            "S3_SECRET_KEY": self.s3["secret"],
            "S3_REGION": "us-east-1",
            "INGESTCTL_SOURCE_ALLOW_NETWORKS": "127.0.0.0/8",
        }

    def ingestctl(self, *arguments: str, endpoint: str | None = None) -> Ran:
        return run([INGESTCTL, *arguments], env=self.worker_env(endpoint), cwd=self.scratch)

    def ingest(self, url: str, *, endpoint: str | None = None) -> tuple[Ran, dict[str, Any]]:
        """`ingestctl run --url`; returns its JSON data as well."""
        ran = self.ingestctl("run", "--url", url, "--output", "json", endpoint=endpoint)
        data = json.loads(ran.stdout)["data"]
        assert data["outcome"] == "succeeded", ran.stdout
        return ran, data

    def by_hand(self, url: str, *, endpoint: str | None = None) -> float:
        """Seconds that the naive shell takes for the same work."""
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            return run(naive.shell(url, AWS), env=self.aws_env(endpoint), cwd=Path(folder)).seconds

    def download_alone(self, url: str) -> float:
        with tempfile.TemporaryDirectory(dir=self.scratch) as folder:
            return run(naive.download(url), env=self.aws_env(), cwd=Path(folder)).seconds

    def fresh(self, name: str, base: str | None = None) -> str:
        """A URL of a sample that nobody asked for before: the same source would be the same job."""
        return f"{base or self.source_url}/{name}?n={uuid.uuid4().hex[:8]}"


@contextlib.contextmanager
def open_lab(rounds: int) -> Iterator[Lab]:
    samples = KEPT / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=KEPT)))
        source = stack.enter_context(service("benchmarks.web", str(samples)))
        s3 = stack.enter_context(service("tests.services.s3"))
        lab = Lab(rounds, samples, source["url"], s3, stack, scratch)
        for bucket in BUCKETS:
            run([AWS, "s3", "mb", f"s3://{bucket}"], env=lab.aws_env(), cwd=scratch)
        yield lab


@contextlib.contextmanager
def service(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run ``python -m module`` for the block; the facts are the JSON line that it prints when ready."""
    command = [sys.executable, "-m", module, *arguments]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        line = child.stdout.readline()
        if not line:
            raise RuntimeError(f"{module} did not start (exit {child.wait()})")
        yield json.loads(line)
    finally:
        child.terminate()
        child.wait()


def _clean_environment() -> dict[str, str]:
    kept: Sequence[str] = ("LANG", "LC_ALL", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}
