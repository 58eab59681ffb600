"""Refuse files that name a package registry's host: the machine chooses its registry."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUFFIXES = {
    ".py",
    ".md",
    ".toml",
    ".lock",
    ".txt",
    ".in",
    ".cfg",
    ".ini",
    ".yml",
    ".yaml",
    ".sh",
    ".json",
    ".env",
    "",
}
# Written so that this file does not name them either.
HOSTS = re.compile(
    r"pypi[.]org|pypi[.]python[.]org|pythonhosted[.]org|registry[.]npmjs[.]|crates[.]io|proxy[.]golang[.]org"
    r"|--(?:extra-)?index-url[ =]|--find-links[ =]",
    re.IGNORECASE,
)


def files() -> list[Path]:
    made = {"__pycache__", "node_modules"}
    tops = [
        path
        for path in ROOT.iterdir()
        if not path.name.startswith(".") or path.name in {".ci", ".env.example"}
    ]
    inside = [found for top in tops for found in ([top] if top.is_file() else top.rglob("*"))]
    return sorted(p for p in inside if p.is_file() and p.suffix in SUFFIXES and not made & set(p.parts))


def main() -> int:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]!r}: leave the registry to pip's own settings"
        for path in files()
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (match := HOSTS.search(line))
    ]
    print("\n".join(found) or "no registry is named")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
