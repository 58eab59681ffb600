"""A real S3 server (SeaweedFS `weed mini`) on loopback: a fixture, or `python -m tests.services.s3`.

A supervisor process owns the server. It is told what to do over its stdin, so that when its
parent dies in any way the pipe closes and it cleans up; the server dies with the supervisor.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REGION = "us-east-1"
START_SECONDS = 30.0
GRPC_OFFSET = 10000
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class S3Server:
    """A running server; ``stop`` and ``start`` take it down and bring it back with its objects."""

    endpoint: str
    access: str
    secret: str = field(repr=False)
    readonly_access: str
    readonly_secret: str = field(repr=False)
    _supervisor: subprocess.Popen[str] = field(repr=False)

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    def stop(self) -> None:
        self._tell("stop")

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._tell("kill")

    def start(self) -> None:
        self._tell("start")

    def client(self) -> Any:
        """A plain boto3 client, for arranging and asserting behind the adapter's back."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=self.access,
            aws_secret_access_key=self.secret,
            config=Config(s3={"addressing_style": "path"}, connect_timeout=5, read_timeout=30),
        )

    def _tell(self, word: str) -> None:
        assert self._supervisor.stdin is not None
        assert self._supervisor.stdout is not None
        self._supervisor.stdin.write(word + "\n")
        self._supervisor.stdin.flush()
        answer = self._supervisor.stdout.readline()
        assert json.loads(answer or "{}").get("done") == word, f"the S3 server did not {word}: {answer!r}"


@contextlib.contextmanager
def running() -> Iterator[S3Server]:
    """Start a server for the block; nothing is left of it afterwards."""
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "tests.services.s3", "--attached"],
        cwd=Path(__file__).resolve().parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for pytest; the closed pipe is for the supervisor
    )
    try:
        assert supervisor.stdout is not None
        line = supervisor.stdout.readline()
        if not line:
            raise RuntimeError(f"the S3 server did not start (exit {supervisor.wait()}); see stderr")
        facts = json.loads(line)
        facts.pop("pid")
        yield S3Server(**facts, _supervisor=supervisor)
    finally:
        # Said, not only closed: a process forked by a test may hold this pipe open a little longer.
        supervisor.communicate("end\n" if supervisor.poll() is None else None, timeout=60)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with running() as server:
        yield server


@pytest.fixture(scope="session")
def s3_client(s3_server: S3Server) -> Any:
    return s3_server.client()


@pytest.fixture
def s3_bucket_name() -> Callable[[], str]:
    """Fresh bucket names; the buckets do not exist yet."""
    return lambda: f"t-{uuid.uuid4().hex[:20]}"


@pytest.fixture
def s3_bucket(s3_client: Any, s3_bucket_name: Callable[[], str]) -> str:
    """A fresh, empty bucket. It goes away with the server."""
    name = s3_bucket_name()
    s3_client.create_bucket(Bucket=name)
    return name


class Supervisor:
    """Owns one `weed mini` process and its folder."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="weed-s3-"))
        self.ports = _free_ports(5)
        self.keys = {
            "access": "ingestkey",
            "secret": uuid.uuid4().hex,
            "readonly_access": "readkey",
            "readonly_secret": uuid.uuid4().hex,
        }
        self.process: subprocess.Popen[bytes] | None = None
        self._write_config()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.ports[3]}"

    def start(self) -> None:
        with (self.base / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(
                self._command(),
                cwd=self.base,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "HOME": str(self.base)},
                preexec_fn=_dies_with(os.getpid()),  # noqa: PLW1509 - one thread here
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("weed did not start: " + (self.base / "weed.log").read_text()[-2000:])
            time.sleep(0.03)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        for port in (*self.ports, *(p + GRPC_OFFSET for p in self.ports)):
            for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                path.unlink(missing_ok=True)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def remove(self) -> None:
        self.stop(signal.SIGKILL)  # the objects go too: nothing to flush, and SIGTERM takes seconds
        shutil.rmtree(self.base, ignore_errors=True)

    def _write_config(self) -> None:
        def identity(name: str, prefix: str, actions: list[str]) -> dict[str, Any]:
            keys = {"accessKey": self.keys[prefix + "access"], "secretKey": self.keys[prefix + "secret"]}
            return {"name": name, "credentials": [keys], "actions": actions}

        identities = [
            identity("writer", "", ["Admin", "Read", "Write", "List", "Tagging"]),
            identity("reader", "readonly_", ["Read", "List"]),
        ]
        (self.base / "s3.json").write_text(json.dumps({"identities": identities}))
        (self.base / "data").mkdir()

    def _command(self) -> list[str]:
        master, volume, filer, s3, admin = self.ports
        return [
            str(Path(sysconfig.get_path("scripts")) / "weed"),
            "-logtostderr=true",
            "mini",
            f"-dir={self.base}/data",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-master.port={master}",
            f"-volume.port={volume}",
            f"-filer.port={filer}",
            f"-s3.port={s3}",
            f"-admin.port={admin}",
            f"-s3.config={self.base}/s3.json",
            # A missing bucket must be an error, as on S3 itself.
            "-s3.autoCreateBucket=false",
            "-s3.allowDeleteBucketNotEmpty=false",
            # Otherwise these listen on fixed ports.
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            # Each bucket grows its own volumes: the default is used up after some 56 buckets.
            "-volume.max=5000",
            "-master.volumeSizeLimitMB=256",
        ]

    def _ready(self) -> bool:
        try:
            _get(f"{self.endpoint}/healthz")
            return "fid" in json.loads(_get(f"http://127.0.0.1:{self.ports[0]}/dir/assign"))
        except urllib.error.HTTPError as error:
            error.close()
            return False
        except (OSError, ValueError):
            return False


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=2) as reply:
        body: bytes = reply.read()
        return body


def _free_ports(count: int) -> list[int]:
    """Ports whose gRPC twin (port + 10000) is free too, below the ephemeral range."""
    ports: list[int] = []
    candidate = 12000 + os.getpid() * 37 % 8000
    while len(ports) < count:
        candidate = candidate + 1 if candidate < 21999 else 12000
        try:
            for port in (candidate, candidate + GRPC_OFFSET):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            ports.append(candidate)
        except OSError:
            continue
    return ports


def _dies_with(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def _say(**facts: object) -> None:
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


def _obey(supervisor: Supervisor) -> None:
    for line in sys.stdin:
        word = line.strip()
        if word == "end":
            return
        {"stop": supervisor.stop, "kill": supervisor.kill, "start": supervisor.start}[word]()
        _say(done=word)


def main() -> None:
    parser = argparse.ArgumentParser(description="Run an S3 server on loopback until SIGTERM.")
    parser.add_argument("--attached", action="store_true", help="obey stop/start on stdin; end with it")
    attached = parser.parse_args().attached
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    supervisor = Supervisor()
    try:
        supervisor.start()
        _say(endpoint=supervisor.endpoint, pid=os.getpid(), **supervisor.keys)
        if attached:
            _obey(supervisor)
        while not attached:
            signal.pause()
    finally:
        supervisor.remove()


if __name__ == "__main__":
    main()
