"""``python -m ingestctl`` and the console script."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    from ingestctl.cli.main import run

    run()


if __name__ == "__main__":
    main()
