"""`make bench`, or `python -m benchmarks [--rounds N] [FIGURE…]`."""

from __future__ import annotations

import argparse
import signal
import sys
from typing import TYPE_CHECKING

from benchmarks import audit, claims, commands, memory, videos
from benchmarks.figure import HEADER, Figure
from benchmarks.lab import Lab, open_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

FIGURES: Mapping[str, Callable[[Lab], Iterator[Figure]]] = {
    "help": commands.start_up,
    "inspect": commands.inspect,
    "clip": videos.clip,
    "queue": videos.queue,
    "claim": claims.claim_and_finish,
    "audit": audit.audit,
    "memory": memory.memory,
    "long": videos.long_video,
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description="Measure ingestctl beside its peers.")
    parser.add_argument(
        "figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(FIGURES)} (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each takes its turn (default: 3)")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.figures) - set(FIGURES))
    if unknown:
        parser.error(f"no figure is called {', '.join(unknown)}; there are {', '.join(FIGURES)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the services are stopped too
    with open_lab(arguments.rounds) as lab:
        print(HEADER, flush=True)
        for name in arguments.figures or FIGURES:
            for figure in FIGURES[name](lab):
                print(figure.line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
