"""``python -m ingestctl`` and the console script."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line."""
    if (
        sys.argv[1:] == ["--version"] and sys.stdout is not None
    ):  # asked by scripts in loops: answered before anything is imported
        from ingestctl import __version__

        try:
            sys.stdout.write(f"ingestctl {__version__}\n")
            sys.stdout.flush()
        except OSError:
            pass  # told below, as for every other command
        else:
            return
    # Imports make many objects and no garbage: looking through all of them takes a tenth of a short run. The
    # youngest are looked through often: each statement leaves a small ring that holds all its parameters.
    gc.set_threshold(1_000, 20, 50)
    from ingestctl.cli.main import run

    run()


if __name__ == "__main__":
    main()
