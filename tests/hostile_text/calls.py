"""The program called in this process, as its console script would be, and what every answer must be."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ingestctl.cli import main
from ingestctl.domain.errors import Exit
from tests.acceptance.worlds import Completed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.acceptance.worlds import World

RAW = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)
"""What steers a terminal, or a reader's eyes. Line breaks and tabs separate lines and cells."""


COLOURS = re.compile(r"\x1b\[[0-9;]*m")
"""Our own, on a terminal."""


def call(
    world: World,
    *arguments: str,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    terminal: bool = False,
) -> Completed:
    """Run ``ingestctl arguments…`` with the world's settings to its end; what it raises is raised here."""
    out, err = _stream(terminal=terminal), _stream(errors="backslashreplace", terminal=terminal)
    began = time.monotonic()
    more = {"COLUMNS": "200", "TERM": "xterm-256color"} if terminal else {}
    with _surroundings(world, arguments, {**world.env, **more, **(env or {})}):
        sys.stdin = _stream(stdin.encode("utf-8", "surrogatepass"))
        sys.stdout, sys.stderr = out, err
        try:
            main.run()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    took = time.monotonic() - began
    return Completed(code, _text(out), _text(err), took)


class _Stream(io.TextIOWrapper):
    terminal = False

    def isatty(self) -> bool:
        return self.terminal


def _stream(content: bytes = b"", errors: str = "strict", *, terminal: bool = False) -> io.TextIOWrapper:
    stream = _Stream(io.BytesIO(content), "utf-8", errors, newline="\n", write_through=True)
    stream.terminal = terminal
    return stream


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer: Any = stream.buffer
    return bytes(buffer.getvalue()).decode("utf-8", "surrogatepass")


@contextmanager
def _surroundings(world: World, arguments: tuple[str, ...], env: Mapping[str, str]) -> Iterator[None]:
    before = (sys.argv, sys.stdin, sys.stdout, sys.stderr, os.getcwd(), dict(os.environ))
    sys.argv = ["ingestctl", *arguments]
    os.environ.clear()
    os.environ.update(env)
    os.chdir(world.home)
    try:
        yield
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before[:4]
        os.chdir(before[4])
        os.environ.clear()
        os.environ.update(before[5])


def wrongs(done: Completed, documented: set[int], *, envelope: bool) -> list[str]:
    """What is not as every answer must be."""
    found = [f"exit {done.code}, documented are {sorted(documented)}"] if done.code not in documented else []
    if done.code == Exit.BUG:
        found.append(f"exit 1: a bug: {(done.stdout + done.stderr)[-400:]!r}")
    if "Traceback" in done.stdout + done.stderr:
        found.append("a traceback")
    for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
        text = COLOURS.sub("", text)
        if match := RAW.search(text):
            found.append(
                f"{name} holds a raw {match.group()!r} in {text[max(0, match.start() - 40) :][:90]!r}"
            )
    return [*found, *(_envelope(done) if envelope else _words(done))]


def _words(done: Completed) -> Iterator[str]:
    failed = done.code not in (Exit.DONE, Exit.CHANGES_PENDING, Exit.VERIFICATION_FAILED)
    if failed and "error: " not in done.stderr:
        yield f"exit {done.code} and not a word why: {done.stderr[:200]!r}"


def _envelope(done: Completed) -> Iterator[str]:
    try:
        answer = json.loads(done.stdout, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        yield f"stdout is not one JSON value ({error}): {done.stdout[:200]!r}"
        return
    keys = ["schema", "command", "status", "exit_code", "data", "errors", "warnings"]
    if done.stdout.count("\n") != 1 or list(answer) != keys:
        yield f"not one envelope: {done.stdout[:200]!r}"
        return
    if answer["exit_code"] != done.code:
        yield f"the envelope says {answer['exit_code']}, the process {done.code}"
    for error in answer["errors"]:
        if not error["message"] or not (error["hint"] or _tells_the_fix(error["message"])):
            yield f"an error without message or fix: {error}"


def _tells_the_fix(message: str) -> bool:
    return any(
        words in message for words in ("; use ", "is not one of", "must begin with", "did you mean", "write ")
    )


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is not JSON")
