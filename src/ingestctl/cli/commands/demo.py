"""``ingestctl demo``: watch one real job from download to unchanged."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from ingestctl.cli.commands import run
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Fields, Lines, Seconds, Table
from ingestctl.domain.errors import Exit

if TYPE_CHECKING:
    from ingestctl.cli.schemas import Demo
    from ingestctl.ops.demo import DemoResult
    from ingestctl.wiring import Wiring

HELP = "Make a small video, serve it on this machine, ingest it over HTTP, and run the same job again."
EXITS = exit_status(Exit.VERIFICATION_FAILED, Exit.JOB_FAILED, Exit.SIGINT, Exit.SIGTERM)
_SAMPLE = "demo.mp4"


def command(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Set up a place of its own, run twice, show both."""

    def work(call: Call) -> Result:
        from ingestctl.cli.signals import REQUEUED, run_stoppable
        from ingestctl.domain.stop import Stop
        from ingestctl.media.sample import make_sample
        from ingestctl.ops.demo import run_demo
        from ingestctl.ops.setup import make_buckets
        from ingestctl.wiring import usable

        wiring, stop = _wiring(call), Stop()
        video = wiring.settings.home_dir / "site" / _SAMPLE
        with ExitStack() as stack:
            pipeline = wiring.pipeline(run.observer(call.style, wiring, stack))

            def play() -> DemoResult:
                with usable("INGESTCTL_HOME", video.parent):
                    video.parent.mkdir(parents=True, exist_ok=True)
                make_sample(wiring.tools(), video, stop)
                make_buckets(wiring.storage, wiring.buckets)
                return run_demo(wiring.submitter(), pipeline, wiring.verifier(stop), video, stop)

            return _result(run_stoppable(play, stop, pipeline.abandon, left=REQUEUED), wiring)

    execute(ctx, "demo", work, output=output, quiet=quiet)


def _wiring(call: Call) -> Wiring:
    """Services of the demo's own: it must never touch a real platform: nearly all settings are defaults."""
    from ingestctl.settings import Settings
    from ingestctl.wiring import Wiring

    settings = Settings.model_construct(
        home=call.settings.home_dir / "demo",
        ffmpeg=call.settings.ffmpeg,
        source_allow_networks=("127.0.0.1/32",),
        min_free_bytes=0,
    )
    wiring = Wiring(settings)
    call.closers.append(wiring.close)
    return wiring


def _result(done: DemoResult, wiring: Wiring) -> Result:
    first = run.one_result(done.first)
    data: Demo = {
        "url": done.url,
        "first": run.run_data(done.first),
        "verdict": done.found.verdict.value if done.found else None,
        "again": run.run_data(done.again) if done.again else None,
        "database": wiring.store.url,
        "storage": wiring.storage.url,
    }
    if done.again is None or done.found is None:
        return replace(first, data=data)
    verified = Table(
        ("verified", "verdict", "evidence"), [(f.subject, f.verdict, f.evidence) for f in done.found.findings]
    )
    again = Fields(
        [
            ("the same again", done.again.outcome),
            ("took", Seconds(done.again.duration_s)),
            ("database", wiring.store.url),
            ("storage", wiring.storage.url),
        ]
    )
    home = wiring.settings.home_dir
    hint = Lines([f"next: ingestctl --home {home} inspect {done.first.job_id}"])
    return Result(data, (Lines([f"fetched from {done.url}"]), *first.blocks, verified, again, hint))
