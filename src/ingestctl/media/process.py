"""The only place that starts processes, and the promise that none of them outlives its purpose.

Every child gets its own session (and so its own process group), dies with the thread that
started it (``PR_SET_PDEATHSIG`` on Linux, see prctl(2): "parent" there means the creating
*thread*), sees a minimal environment, and is killed by group when its deadline passes, when a
stop is asked for, and when anything goes wrong here.
"""

from __future__ import annotations

import ctypes
import os
import resource
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import DeadlineExceeded, ScratchFull, ToolMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from ingestctl.domain.stop import Stop

_PR_SET_PDEATHSIG = 1
# Loaded before any fork. PyDLL keeps the interpreter lock, so the forked child never waits for it.
_LIBC = ctypes.PyDLL(None) if sys.platform == "linux" else None
_CHUNK = 1 << 16
_TAIL_LINES = 40
_MAX_LINE = 2000
_REAP_POLL_S = 0.005

NO_SPACE = "No space left on device"
"""The C library's words for ENOSPC; ``LC_ALL=C`` keeps them so."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the kernel holds a child to; None is no limit. Memory and file size in bytes, CPU in seconds."""

    memory: int | None = None
    file_size: int | None = None
    cpu_s: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """A child that ended by itself. ``returncode`` is negative for a signal, as in subprocess."""

    program: str
    returncode: int
    stdout: bytes
    stdout_truncated: bool
    stderr_tail: tuple[str, ...]
    seconds: float

    @property
    def evidence(self) -> str:
        """The last line the child said, or how it ended."""
        words = [line for line in self.stderr_tail if line.strip()]
        if words:
            return words[-1].strip()
        if self.returncode < 0:
            return f"{self.program} was killed by {signal.Signals(-self.returncode).name}"
        return f"{self.program} ended with status {self.returncode}"

    def raise_if_full(self) -> None:
        """Raise ScratchFull where the child said that the disk is full."""
        for line in self.stderr_tail:
            if NO_SPACE in line:
                raise ScratchFull(
                    f"The scratch disk filled up while {self.program} was writing", evidence=line
                )


def minimal_environment(home: Path | str) -> dict[str, str]:
    """The whole environment of a child: no credentials and none of our settings."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C",
        "LC_ALL": "C",
        "HOME": str(home),
        "TMPDIR": str(home),
    }


def _confine(limits: Limits, parent: int) -> Callable[[], None]:
    """What a child does between fork and exec; only async-safe calls, all objects made beforehand."""
    pairs = [
        (which, (value, value))
        for which, value in (
            (resource.RLIMIT_AS, limits.memory),
            (resource.RLIMIT_FSIZE, limits.file_size),
            (resource.RLIMIT_CPU, limits.cpu_s),
            (resource.RLIMIT_CORE, 0),
        )
        if value is not None
    ]

    def in_child() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # it died before prctl: nobody would kill us
                os._exit(127)
        for which, pair in pairs:
            resource.setrlimit(which, pair)

    return in_child


def _kill_group(pid: int) -> None:
    # Only called while the leader is not reaped, so its id cannot be anybody else's.
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _has_exited(pid: int) -> bool:
    """Whether the child has ended, without reaping it (its id stays ours until we do)."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


class _Child:
    """One running child and the lock that keeps killing and reaping apart."""

    def __init__(self, argv: Sequence[str], *, cwd: Path, limits: Limits) -> None:
        # Re-entrant: a signal handler may ask to stop while this thread is reaping.
        self._lock = threading.RLock()
        self._reaped = False
        try:
            self.popen = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=minimal_environment(cwd),
                start_new_session=True,
                preexec_fn=_confine(limits, os.getpid()),  # noqa: PLW1509 - see _confine
                close_fds=True,
            )
        except (FileNotFoundError, PermissionError, OSError) as error:
            raise ToolMissing(f"{argv[0]} could not be started: {error}", evidence=str(error)) from error

    def kill(self) -> None:
        with self._lock:
            if not self._reaped:
                _kill_group(self.popen.pid)

    def reap(self) -> int:
        """Kill what is left of the group, then collect the exit status."""
        with self._lock:
            if not self._reaped:
                _kill_group(self.popen.pid)
                self.popen.wait()
                self._reaped = True
        for pipe in (self.popen.stdout, self.popen.stderr):
            if pipe is not None:
                pipe.close()
        return self.popen.returncode


class _Lines:
    """Splits a byte stream into lines; keeps the last ones and hands each on."""

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        self._on_line = on_line
        self._rest = b""
        self.tail: deque[str] = deque(maxlen=_TAIL_LINES)

    def feed(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        if len(self._rest) > _CHUNK:
            lines.append(self._rest)
            self._rest = b""
        for line in lines:
            self._take(line)

    def close(self) -> None:
        self._take(self._rest)
        self._rest = b""

    def _take(self, raw: bytes) -> None:
        line = raw[:_MAX_LINE].decode("utf-8", "replace").rstrip()
        if line:
            self.tail.append(line)
            if self._on_line is not None:
                self._on_line(line)


def run(
    argv: Sequence[str],
    *,
    deadline_s: float,
    stop: Stop,
    cwd: Path,
    limits: Limits = Limits(),
    stdout_limit: int = 1 << 20,
    on_line: Callable[[str], None] | None = None,
) -> Finished:
    """Run ``argv`` to its end and return how it ended; its exit status is the caller's to judge.

    ``on_line`` is called with each line of standard error. A child that writes more than
    ``stdout_limit`` bytes to standard output is killed and ``stdout_truncated`` set. Raises
    ToolMissing (could not be started), DeadlineExceeded, or what ``stop`` was asked with. However
    it ends, nothing of the child's process group is alive afterwards. Works from any thread.
    """
    stop.check()
    started = time.monotonic()
    program = os.path.basename(argv[0])  # noqa: PTH119 - a name, not a path
    child = _Child(argv, cwd=cwd, limits=limits)
    try:
        with stop.on_stop(child.kill):
            lines = _Lines(on_line)
            until = started + deadline_s
            stdout, truncated, in_time = _pump(child.popen, lines, stdout_limit, until)
            in_time = in_time and _await_exit(child.popen.pid, until, at_once=truncated)
            returncode = child.reap()
    finally:
        child.reap()
    stop.check()
    if not in_time:
        raise DeadlineExceeded(
            f"{program} was stopped after {deadline_s:.0f} s, its deadline",
            evidence=lines.tail[-1] if lines.tail else None,
        )
    return Finished(program, returncode, stdout, truncated, tuple(lines.tail), time.monotonic() - started)


def _pump(
    popen: subprocess.Popen[bytes], lines: _Lines, stdout_limit: int, until: float
) -> tuple[bytes, bool, bool]:
    """Read both pipes to their end: standard output, whether it was too much, whether it was in time."""
    stdout = bytearray()
    with selectors.DefaultSelector() as selector:
        for pipe in (popen.stdout, popen.stderr):
            if pipe is not None:
                selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            events = selector.select(max(0.0, until - time.monotonic()))
            if not events and time.monotonic() >= until:
                return bytes(stdout), False, False
            for key, _ in events:
                data = os.read(_fileno(key.fileobj), _CHUNK)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is popen.stderr:
                    lines.feed(data)
                else:
                    stdout += data
            if len(stdout) > stdout_limit:
                return bytes(stdout[:stdout_limit]), True, True
    lines.close()
    return bytes(stdout), False, True


def _fileno(pipe: int | Any) -> int:
    return pipe if isinstance(pipe, int) else int(pipe.fileno())


def _await_exit(pid: int, until: float, *, at_once: bool) -> bool:
    while not at_once and not _has_exited(pid):
        if time.monotonic() >= until:
            return False
        time.sleep(_REAP_POLL_S)
    return True


# --- children that a library starts ------------------------------------------------------------


class Children:
    """The processes a library starts from one thread; :meth:`kill` ends them all and forbids more.

    Entered as a context manager by the thread that calls the library; see :func:`adopt_popen`.
    """

    _of_thread = threading.local()

    def __init__(
        self,
        home: Path,
        *,
        rewrite: Callable[[list[str]], list[str]] = list,
        limits: Callable[[str], Limits] = lambda program: Limits(),  # noqa: ARG005
    ) -> None:
        self._lock = threading.RLock()
        self._live: set[subprocess.Popen[Any]] = set()
        self._closed = False
        self._limits = limits
        self.home = home
        self.rewrite = rewrite
        """Changes an argument list before it is run; may raise to refuse it."""

    @classmethod
    def current(cls) -> Children | None:
        """The group the calling thread's children belong to."""
        return getattr(cls._of_thread, "group", None)

    def __enter__(self) -> Children:
        self._of_thread.group = self
        return self

    def __exit__(self, *_: object) -> None:
        self._of_thread.group = None
        self.kill()

    def arguments(self, program: str, environment: Mapping[str, str] | None) -> dict[str, Any]:
        """What to start a child of that name with."""
        extra = {k: v for k, v in (environment or {}).items() if k.startswith(("DENO_", "NO_COLOR"))}
        return {
            "env": minimal_environment(self.home) | extra,
            "start_new_session": True,
            "preexec_fn": _confine(self._limits(program), os.getpid()),
        }

    def add(self, popen: subprocess.Popen[Any]) -> None:
        """Take charge of a child; kills it at once if the group is already closed."""
        with self._lock:
            self._live = {p for p in self._live if p.returncode is None} | {popen}
            closed = self._closed
        if closed:
            self.kill()

    def kill(self) -> None:
        """Kill every child's group; children started later are killed as they start."""
        with self._lock:
            self._closed = True
            live = [p for p in self._live if p.returncode is None]
        for popen in live:
            _kill_group(popen.pid)

    def wait(self, seconds: float) -> None:
        """Wait until no child is alive, at most ``seconds``."""
        until = time.monotonic() + seconds
        with self._lock:
            live = list(self._live)
        for popen in live:
            try:
                popen.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                return


def adopt_popen(popen_class: type[subprocess.Popen[Any]]) -> None:
    """Make a library's own ``Popen`` subclass start its children inside the calling thread's Children.

    The class is changed in place, because the library's modules have imported it by name. Threads
    without a Children group are left alone. Calling this twice changes nothing.
    """
    original = popen_class.__init__
    if getattr(original, "adopted", False):
        return

    def adopted(self: subprocess.Popen[Any], args: Any, *rest: Any, **kwargs: Any) -> None:
        group = Children.current()
        if group is None:
            original(self, args, *rest, **kwargs)
            return
        if not isinstance(args, (list, tuple)) or kwargs.get("shell"):
            raise ToolMissing(f"a shell command was refused: {str(args)[:80]!r}")
        argv = group.rewrite([os.fspath(a) for a in args])
        kwargs |= group.arguments(os.path.basename(argv[0]), kwargs.get("env"))  # noqa: PTH119
        original(self, argv, *rest, **kwargs)
        group.add(self)

    adopted.adopted = True  # type: ignore[attr-defined]
    popen_class.__init__ = adopted  # type: ignore[method-assign]
