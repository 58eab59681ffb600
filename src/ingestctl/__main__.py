"""``python -m ingestctl`` and the console script."""

from __future__ import annotations

import gc
import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts in loops: answered before anything is imported
        from ingestctl import __version__

        sys.stdout.write(f"ingestctl {__version__}\n")
        return
    # Imports make many objects and no garbage: looking for some every 700 takes a tenth of a run.
    gc.set_threshold(100_000, 20, 50)
    from ingestctl.cli.main import run

    run()


if __name__ == "__main__":
    main()
