"""A warm parent of program calls: a process without threads that forks each call as it is asked for.

Tests that have threads and connections of their own must not fork. They talk to this process instead: a line
of JSON in for a call to begin, a line out when it has ended.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import json
import os
import resource
import select
import signal
import subprocess
import sys
import threading
from concurrent.futures import Future
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reliability.actors import Actor, Ended
from tests.reliability.matrix import load, warm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    class Surroundings(Protocol):
        """Where a call is made."""

        home: Path
        env: Mapping[str, str]


ROOT = Path(__file__).resolve().parents[2]
_POLL_S = 0.01


class Parent:
    """The other end: calls the program in forks of the warm process."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.reliability.warm"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()
        self._waiting: dict[int, Future[Ended]] = {}
        self._count = 0
        threading.Thread(target=self._listen, daemon=True).start()

    def start(
        self,
        place: Surroundings,
        *arguments: str,
        timeout: float = 60.0,
        env: Mapping[str, str] | None = None,
        **how: Any,
    ) -> Future[Ended]:
        """Begin a call in ``place``; its end comes as a result, ``-SIGALRM`` if it took longer than that.

        ``how``: ``file_size`` (the largest file it may write, in bytes), ``full`` (a folder whose disk is
        full after so many bytes), ``unprivileged`` (whether permission bits count, whoever runs the tests),
        ``cwd``, ``record`` (a file for the modules it loaded, which the parent then loads too).
        """
        call = {"home": str(place.home), "env": {**place.env, **(env or {})}, "arguments": arguments, **how}
        with self._lock:
            self._count += 1
            number, ended = self._count, Future[Ended]()
            self._waiting[number] = ended
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"number": number, "timeout": timeout, **call}) + "\n")
            self._process.stdin.flush()
        return ended

    def run(self, place: Surroundings, *arguments: str, **how: Any) -> Ended:
        """Call the program and wait for its end."""
        return self.start(place, *arguments, **how).result(300)

    def close(self) -> None:
        """End it, and with it every call that still runs."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            self._waiting.pop(said.pop("number")).set_result(Ended(**said))
        for ended in self._waiting.values():
            ended.set_exception(RuntimeError("the warm parent died"))


# --- the process itself


def main() -> None:
    """Obey stdin until it closes."""
    warm(None)
    running: dict[int, tuple[Actor, Path | None]] = {}
    rest = b""
    while True:
        if select.select([0], [], [], _POLL_S if running else None)[0]:
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                call = json.loads(line)
                running[call["number"]] = _begin(call)
        for number, (actor, record) in list(running.items()):
            ended = actor.poll()
            if ended is not None:
                del running[number]
                _loaded(record)
                print(json.dumps({"number": number, **asdict(ended)}), flush=True)


def _begin(call: dict[str, Any]) -> tuple[Actor, Path | None]:
    record = Path(call["record"]) if "record" in call else None
    actor = Actor(Path(call["home"]), call["env"], call["arguments"], record=record, prepare=_confined(call))
    actor.limit(call["timeout"])
    return actor, record


def _loaded(record: Path | None) -> None:
    if record is not None and record.exists():
        load(json.loads(record.read_text())["modules"])


def _confined(call: dict[str, Any]) -> Callable[[], None] | None:
    works = [functools.partial(work, call[name]) for name, work in _PREPARED if call.get(name)]
    return (lambda: [work() for work in works] and None) if works else None


def _limit_files(size: int) -> None:
    """No file may grow beyond ``size`` bytes: EFBIG, as for a quota of a single file."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _fill(where: tuple[str, int]) -> None:
    """Let ``os.write`` find the disk below a folder full after so many bytes."""
    folder, left = where
    real = os.write

    def write(fd: int, data: Any) -> int:
        nonlocal left
        if os.readlink(f"/proc/self/fd/{fd}").startswith(folder):
            if left <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = memoryview(data)[:left]
            left -= len(data)
        return real(fd, data)

    os.write = write


def _drop_power(_: bool) -> None:
    """Obey permission bits, as root too: without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capset(2))."""
    if os.geteuid() == 0:
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.capget(header, sets) == 0:
            sets[0] &= ~0b110
            libc.capset(header, sets)


_PREPARED: tuple[tuple[str, Callable[[Any], None]], ...] = (
    ("cwd", os.chdir),
    ("file_size", _limit_files),
    ("full", _fill),
    ("unprivileged", _drop_power),
)


if __name__ == "__main__":
    main()
