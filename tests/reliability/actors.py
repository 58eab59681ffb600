"""The program in processes of its own, forked from a warm parent that has no threads and no connections."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.reliability.places import hang_up
from tests.reliability.steps import Fault, Steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.PyDLL(None)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call of the program ended: its exit code (or minus the signal), and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def outcome(self) -> str:
        """``data.outcome`` of the envelope, or the first error's code."""
        try:
            said = json.loads(self.stdout)
        except ValueError:
            return ""
        data = said.get("data") or {}
        errors = said.get("errors") or [{}]
        return str(data.get("outcome") or errors[0].get("code") or said.get("status"))

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.stdout[-1500:]}\n{self.stderr[-1500:]}"


class Actor:
    """One running call of ``ingestctl``; its files lie beside the world's home, not in it."""

    def __init__(
        self,
        home: Path,
        env: Mapping[str, str],
        arguments: Sequence[str],
        *,
        faults: Sequence[Fault] = (),
        record: Path | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        self._out = home.parent / f"{home.name}-{os.getpid()}-{time.monotonic_ns()}"
        self._status: int | None = None
        self._until = float("inf")
        self.pid = os.fork()
        if self.pid == 0:
            _become(self._out, env)
            steps = Steps(home, faults)
            if faults or record:
                steps.install()
            if prepare:
                prepare()
            code = _main(arguments)
            if record:
                patterns = [(p, f) for of, p, f in re._cache if of is str]  # type: ignore[attr-defined]
                facts = {"steps": steps.seen, "modules": sorted(sys.modules), "patterns": patterns}
                record.write_text(json.dumps(facts))
            os._exit(code)

    def stopped(self) -> bool:
        """Wait until it stops or ends; whether it stopped."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        if os.WIFSTOPPED(status):
            return True
        self._status = status
        return False

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def limit(self, seconds: float) -> None:
        """Give it so long from now. One that does not end in time is killed and told by ``-SIGALRM``."""
        self._until = time.monotonic() + seconds

    def wait(self, timeout: float = 60.0) -> Ended:
        """Its end, within the time limit that begins now."""
        self.limit(timeout)
        pause = 0.002
        while (ended := self.poll()) is None:
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        return ended

    def poll(self) -> Ended | None:
        """Its end if it has ended, by itself or because its time is over."""
        if self._status is None:
            pid, found = os.waitpid(self.pid, os.WNOHANG)
            self._status = found if pid else None
        if self._status is not None:
            return self._ended(os.waitstatus_to_exitcode(self._status))
        if time.monotonic() < self._until:
            return None
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return self._ended(-signal.SIGALRM)

    def _ended(self, code: int) -> Ended:
        texts = []
        for suffix in (".out", ".err"):
            path = self._out.with_name(self._out.name + suffix)
            texts.append(path.read_text(errors="replace") if path.exists() else "")
            path.unlink(missing_ok=True)
        return Ended(code, *texts)


def aside(work: Callable[[], Any]) -> Any:
    """Do ``work`` in a child and return its result (JSON), so that no thread or connection stays here."""
    hang_up()
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        die_with_parent()
        try:
            answer = {"result": work()}
        except BaseException:
            answer = {"error": traceback.format_exc()}
        with os.fdopen(write, "w") as pipe:
            json.dump(answer, pipe, default=str)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    answer = json.loads(text or '{"error": "the child died"}')
    if "error" in answer:
        raise RuntimeError(answer["error"])
    return answer["result"]


def _become(out: Path, env: Mapping[str, str]) -> None:
    """Turn this fork into a process as a shell would start it."""
    die_with_parent()
    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    os.chdir("/")
    for fd, name in ((0, os.devnull), (1, f"{out}.out"), (2, f"{out}.err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, fd)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (
        open(fd, mode, closefd=False)  # noqa: SIM115
        for fd, mode in ((0, "r"), (1, "w"), (2, "w"))
    )


def die_with_parent() -> None:
    """Let the kernel kill this fork when its parent is gone."""
    parent = os.getppid()
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(127)


def _main(arguments: Sequence[str]) -> int:
    from ingestctl.__main__ import main

    sys.argv = ["ingestctl", *arguments, "--output", "json"]
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def swarm(count: int, work: Callable[[], Any]) -> list[Any]:
    """Do ``work`` in that many children, all released at one instant; return their results."""
    gate, latch = os.pipe()
    readers = []
    for _ in range(count):
        read, write = os.pipe()
        if os.fork() == 0:
            die_with_parent()
            os.close(latch)
            os.read(gate, 1)  # returns when every latch is closed
            try:
                answer = {"result": work()}
            except BaseException:
                answer = {"error": traceback.format_exc()}
            with os.fdopen(write, "w") as pipe:
                json.dump(answer, pipe, default=str)
            os._exit(0)
        os.close(write)
        readers.append(read)
    os.close(gate)
    os.close(latch)
    answers = []
    for read in readers:
        with os.fdopen(read) as pipe:
            answers.append(json.loads(pipe.read() or '{"error": "the child died"}'))
        os.wait()
    for answer in answers:
        if "error" in answer:
            raise RuntimeError(answer["error"])
    return [answer["result"] for answer in answers]
