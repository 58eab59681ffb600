"""Where faults are played: places on one PostgreSQL and one S3, a warm parent, and lines that can fail."""

from __future__ import annotations

import itertools
import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.reliability.places import Place, Server
from tests.services.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.reliability.warm import Parent
    from tests.services.fault_proxy import Fault

SETTINGS = {
    "INGESTCTL_LEASE_SECONDS": "12",
    "INGESTCTL_HEARTBEAT_SECONDS": "2",
    "INGESTCTL_DATABASE_TIMEOUT_SECONDS": "2",
    "INGESTCTL_S3_TIMEOUT_SECONDS": "2",
    "INGESTCTL_SOCKET_TIMEOUT_SECONDS": "2",
}
"""Short enough to see the end of every patience; all else is as people have it."""


COMMITS = {"claim": b"ingestion.run.started", "commit": b"ingestion.job.succeeded"}
"""The event by which the transaction is known."""


@dataclass(slots=True)
class Lines:
    """The three lines of one place, each through a proxy."""

    postgres: FaultProxy
    s3: FaultProxy
    source: FaultProxy

    def of(self, service: str) -> FaultProxy:
        found: FaultProxy = getattr(self, service)
        return found

    def heal(self) -> None:
        for line in (self.postgres, self.s3, self.source):
            line.watch = lambda _: None
            line.line = None


@dataclass(slots=True)
class Stage:
    """Makes places and runs the program in them."""

    parent: Parent
    template: Place
    ports: dict[str, int]
    """Of the real services."""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @contextmanager
    def opened(self, count: int) -> Iterator[list[tuple[Place, Lines, str]]]:
        """That many places with their lines, and the id of a job submitted in each."""
        with ExitStack() as stack:
            made = [self._place(stack) for _ in range(count)]
            jobs = self.submit(made[0][0], [place.url for place, _ in made])
            yield [(place, lines, job) for (place, lines), job in zip(made, jobs, strict=True)]

    def _place(self, stack: ExitStack) -> tuple[Place, Lines]:
        lines = Lines(**{name: FaultProxy(port) for name, port in self.ports.items()})
        for name in self.ports:
            stack.callback(lines.of(name).close)
        return self.place(lines), lines

    def place(self, lines: Lines | None = None, **more: str) -> Place:
        """A place of its own; behind ``lines``, where they are given."""
        template, tag = self.template, f"f{next(self._numbers)}"
        home = template.home / tag / "home"
        home.mkdir(parents=True)
        url = template.url
        if lines is not None and template.server is not None:
            server = template.server
            url = url.replace(f":{self.ports['source']}/", f":{lines.source.port}/")
            database = server.database_url.replace(f":{self.ports['postgres']}/", f":{lines.postgres.port}/")
            more |= {"DATABASE_URL": database, "S3_ENDPOINT": lines.s3.endpoint}
        return replace(template, home=home, tag=tag, url=f"{url}?{tag}", more={**template.more, **more})

    def folder(self, **more: str) -> Place:
        """A place on SQLite and a folder, set up."""
        place = replace(self.place(), server=None)
        place = replace(place, more={**place.more, **more})
        done = self.parent.run(place, "init")
        assert done.code == 0, str(done)
        return place

    def submit(self, place: Place, urls: Sequence[str]) -> list[str]:
        """Submit them all at once; their jobs in order."""
        done = self.parent.run(place, "submit", *urls)
        assert done.code == 0, str(done)
        return [job["job_id"] for job in json.loads(done.stdout)["data"]["jobs"]]


class Cue:
    """Strikes when the run comes to a phase, as told by what it sends to PostgreSQL.

    A watch for the line to PostgreSQL. ``claim`` and ``commit`` are the instants at which the COMMIT of the
    claim and of the success are sent; the other phases begin when they are about to be recorded or,
    ``once_recorded``, with what is sent next.
    """

    def __init__(
        self, phase: str, strike: Callable[[], Fault | None], *, once_recorded: bool = False
    ) -> None:
        self._words = (b"ingestion.phase.started", f'"phase": "{phase}"'.encode())
        if phase in COMMITS:
            self._words = (COMMITS[phase],)
        self._strike = strike
        self._commit, self._after = phase in COMMITS, once_recorded
        self._lock = threading.Lock()
        self._steps = 0
        self.struck = False

    def __call__(self, request: bytes) -> Fault | None:
        with self._lock:
            if self.struck or not self._comes(request):
                return None
            self.struck = True
        return self._strike()

    def _comes(self, request: bytes) -> bool:
        if self._steps == 0 and all(word in request for word in self._words):
            self._steps = 1
            return not (self._commit or self._after)
        if self._steps == 1 and b"COMMIT" in request:
            self._steps = 2
            return self._commit
        return self._steps == 2


def port_of(url: str) -> int:
    return urlsplit(url).port or 0


def stage_of(parent: Parent, folder: Path, server: Server, url: str, media: Path) -> Stage:
    """A stage on running services: set up, and its warm parent warmed by one run."""
    template = Place(folder, server, "faults", media, url, SETTINGS)
    ports = {
        "postgres": port_of(server.database_url),
        "s3": port_of(server.endpoint),
        "source": port_of(url),
    }
    stage = Stage(parent, template, ports)
    first = stage.place()
    for words in (["init"], ["submit", first.url], ["run", "--pending"]):
        done = parent.run(first, *words, record=str(folder / f"{words[0]}.json"))
        assert done.code == 0, str(done)
    return stage
