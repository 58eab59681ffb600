"""runbook.md, executed: every console block, in order, against broken jobs on real services."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.worlds import wait_until
from tests.docs.blocks import Shell, mismatch, steps_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

RUNBOOK = Path(__file__).resolve().parents[2] / "runbook.md"
SCRIPTS = str(Path(sys.executable).parent)


class Seed:
    """The night before: jobs of every kind the runbook deals with."""

    def __init__(self, world: World, server: SourceServer, samples: Samples, s3: Any) -> None:
        self.world, self.server, self.samples, self.s3 = world, server, samples, s3
        world.env |= {
            "ENV": "production",
            "INGESTCTL_RETRY_ATTEMPTS": "1",
            "INGESTCTL_ESCALATE_SOURCE_JOBS": "3",
        }
        server.rules["webinar.mp4"] = "503"
        blocked = [self.url(f"episode-{n}", host="localhost", fault="403") for n in (1, 2, 3)]
        names = [self.url(n) for n in ("talk", "keynote", "panel", "webinar")]
        jobs = world.submit(*names, self.url("deleted", fault="404"), *blocked)
        self.keynote, self.panel = jobs[1:3]
        done = world.cli("run", "--pending")
        assert done.data["totals"]["succeeded"] == 3, done.stdout + done.stderr
        del server.rules["webinar.mp4"]
        self.crashed("lecture")
        self.break_keynote()
        self.lose_audio_of_panel()

    def url(self, name: str, host: str = "127.0.0.1", fault: str | None = None) -> str:
        target = self.server.root / f"{name}.mp4"
        if not target.exists():
            # An empty `free` box at the end: the same film, and a file of its own.
            box = f"free{name}".encode()
            target.write_bytes(self.samples.mp4().read_bytes() + (4 + len(box)).to_bytes(4, "big") + box)
        return self.server.url(f"{name}.mp4", host=host, fault=fault)

    def crashed(self, name: str) -> None:
        """A worker that is killed while it downloads, and a lease that runs out."""
        self.server.rules[f"{name}.mp4"] = "slow=20000"
        [job] = self.world.submit(self.url(name))
        worker = self.world.start("run", job)
        self.world.wait_for_phase(worker, job, "downloading")
        worker.kill()
        del self.server.rules[f"{name}.mp4"]
        wait_until(lambda: self.world.cli("jobs", "--stuck").data["jobs"] != [], 20, "its lease lives on")

    def break_keynote(self) -> None:
        """One bit of the stored original, flipped where it lies."""
        bucket, key = self.stored(self.keynote, "video")
        stored = self.world.objects()[bucket, key]
        body = bytearray(stored.body)
        body[len(body) // 2] ^= 1
        if self.s3:
            self.s3.put_object(Bucket=bucket, Key=key, Body=bytes(body), ContentType=stored.content_type)
            return
        path = self.world.home / "objects" / bucket / key
        times = path.stat().st_atime_ns, path.stat().st_mtime_ns
        with path.open("r+b") as file:
            file.write(body)
        os.utime(path, ns=times)

    def lose_audio_of_panel(self) -> None:
        bucket, key = self.stored(self.panel, "audio")
        if self.s3:
            self.s3.delete_object(Bucket=bucket, Key=key)
        else:
            (self.world.home / "objects" / bucket / key).unlink()

    def stored(self, job: str, kind: str) -> tuple[str, str]:
        found = self.world.cli("inspect", job).data["artifacts"]
        [one] = [a for a in found if a["kind"] == kind]
        return one["bucket"], one["key"]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.timeout(600)
def test_every_block_of_the_runbook_does_what_it_says(
    kind: str,
    request: pytest.FixtureRequest,
    new_world: Callable[..., World],
    source_server: SourceServer,
    samples: Samples,
    figures: Callable[[str], None],
) -> None:
    world = new_world(kind)
    s3 = None if kind == "sqlite" else request.getfixturevalue("s3_client")
    Seed(world, source_server, samples, s3)
    shell = Shell(world.env | {"PATH": f"{SCRIPTS}:{world.env['PATH']}"}, world.home)
    wrong, transcript = [], []
    steps = steps_of(RUNBOOK)
    for step in steps:
        ran = shell.run(step.command)
        transcript.append(f"$ {step.command}\n{ran.output}[exit {ran.code}]")
        if ran.code != step.code:
            wrong.append(f"runbook.md:{step.line}: {step.command}: exit {ran.code}, not {step.code}")
        if missing := mismatch(step.expected, ran.output):
            wrong.append(f"runbook.md:{step.line}: {step.command}: {missing}")
    shell.close()
    figures(f"{len(steps)} commands of runbook.md on {kind}")
    assert not wrong, "\n".join([*wrong, "", *transcript])
    assert len(steps) > 20
