"""Write requirements/*.lock from pyproject.toml, or check without network that they still satisfy it.

Every lock pins versions and hashes and names no registry. run.lock is the program with the bundled
ffmpeg, dev.lock adds what tests and lint need, build.lock is what builds the project itself, and
bench.lock is a peer that is measured beside it. The others follow dev.lock where they overlap.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "requirements"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(\[[^]]*\])?==(?P<version>[^\s;\\]+)", re.MULTILINE)
EDITABLE = ["editables>=0.5"]  # hatchling asks for it only when it makes an editable install
BENCH = ["awscli>=1.40"]
COMPILE = ["pip", "compile", "--universal", "--python-version=3.11", "--generate-hashes", "--quiet"]
COMPILE += ["--no-header", "--no-annotate", "--no-emit-index-url"]


class Lock(NamedTuple):
    """One lock file, the requirements it must satisfy, and whether it follows dev.lock's versions."""

    name: str
    requirements: list[str]
    follows_dev: bool = True

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.name}.lock"


def wanted() -> list[Lock]:
    """The locks that pyproject.toml asks for, dev first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    own = canonicalize_name(project["project"]["name"])

    def expanded(extra: str) -> list[str]:
        found: list[str] = []
        for text in extras[extra]:
            requirement = Requirement(text)
            if canonicalize_name(requirement.name) == own:
                found += [line for part in sorted(requirement.extras) for line in expanded(part)]
            else:
                found.append(text)
        return found

    base = project["project"]["dependencies"]
    return [
        Lock("dev", base + expanded("dev"), follows_dev=False),
        Lock("run", base + expanded("ffmpeg")),
        Lock("build", project["build-system"]["requires"] + EDITABLE),
        Lock("bench", BENCH, follows_dev=False),
    ]


def update(uv: Path, extra: list[str]) -> int:
    for lock in wanted():
        follow = ["--constraint", str(FOLDER / "dev.lock")] if lock.follows_dev else []
        command = [str(uv), *COMPILE, *extra, *follow, "--output-file", str(lock.path), "-"]
        done = subprocess.run(
            command, input="\n".join(lock.requirements), text=True, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            return done.returncode
        print(f"wrote {lock.path.relative_to(ROOT)}: {len(pins(lock.path))} packages")
    return check()


def pins(path: Path) -> dict[str, str]:
    return {canonicalize_name(m["name"]): m["version"] for m in PIN.finditer(path.read_text())}


def check() -> int:
    """Print what is wrong, each with its fix; 1 when anything is."""
    problems: list[str] = []
    locks = wanted()
    dev = pins(locks[0].path)
    for lock in locks:
        pinned = pins(lock.path)
        for requirement in map(Requirement, lock.requirements):
            version = pinned.get(canonicalize_name(requirement.name))
            if version is None or not requirement.specifier.contains(version, prereleases=True):
                problems.append(
                    f"{lock.path.name}: {requirement} is wanted, {version or 'nothing'} is locked"
                )
        if lock.follows_dev:
            differing = [name for name, version in pinned.items() if dev.get(name, version) != version]
            problems += [f"{lock.path.name}: {name} differs from dev.lock" for name in differing]
        problems += [f"{lock.path.name}: {name} has no hash" for name in without_hash(lock.path)]
    for problem in problems:
        print(f"{problem}; run `make lock`", file=sys.stderr)
    return 1 if problems else 0


def without_hash(path: Path) -> list[str]:
    text = path.read_text().replace("\\\n", " ")
    return [
        line.split("==")[0] for line in text.splitlines() if PIN.match(line) and "--hash=sha256:" not in line
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["check", "update"])
    parser.add_argument("--uv", type=Path, help="the uv program that resolves")
    arguments, extra = parser.parse_known_args()
    if arguments.action == "check":
        return check()
    return update(arguments.uv, extra)


if __name__ == "__main__":
    sys.exit(main())
