"""Ways to hold a run in each phase: a slow link to the store, and an ffmpeg that reads in real time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ingestctl.media.tools import find_tools
from tests.services.fault_proxy import Fault

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.fault_proxy import FaultProxy, Kind


def held_publish(link: FaultProxy, kind: Kind) -> threading.Event:
    """Hold each request that publishes (``If-None-Match``): ``stall`` before it arrives, ``mute`` its reply.

    The event tells that one is held.
    """
    held = threading.Event()

    def watch(request: bytes) -> Fault | None:
        if b"if-none-match" not in request.lower():
            return None
        held.set()
        return Fault(kind)

    link.watch = watch
    return held


def real_time_ffmpeg(folder: Path) -> Path:
    """A folder whose ffmpeg reads its input no faster than it plays: an extraction that takes a while."""
    tools = find_tools()
    folder.mkdir(exist_ok=True)
    (folder / "ffprobe").symlink_to(tools.ffprobe)
    program = folder / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *pcm_s16le*) set -- -re "$@";; esac\nexec {tools.ffmpeg} "$@"\n'
    )
    program.chmod(0o755)
    return folder
