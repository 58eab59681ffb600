"""``python -m ingestctl`` and the console script."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:  # asked by scripts in loops: answered before anything is imported
        from ingestctl import __version__

        sys.stdout.write(f"ingestctl {__version__}\n")
        return
    from ingestctl.cli.main import run

    run()


if __name__ == "__main__":
    main()
