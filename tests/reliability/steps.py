"""Every durable step a process takes, named as it happens; and dying, or stopping, at one of them.

Steps are found by watching, not by listing: database statements and commits (SQLAlchemy), requests to
the object store (botocore's HTTP session), changes of the file system (``os``, ``open``), and processes
started and reaped (``subprocess``). A step's name says what is done and the how-manieth time, with ids
masked, so that it names the same step in another run: ``UPDATE job_runs#2``, ``link objects/…/audio.wav#1``.
"""

from __future__ import annotations

import builtins
import functools
import io
import os
import re
import signal
import stat
import subprocess
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

BEFORE, AFTER = "before", "after"
_ID = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{16,}|cell-\w+|\b[0-9a-f]+-[0-9a-f]+-[0-9a-f]+(?=\.json)"
)
_SQL = re.compile(
    r"\s*(INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE|CREATE (?:UNIQUE )?INDEX|ALTER TABLE|\w+)\s*(\w*)"
)
_NAMED = ("INSERT INTO", "UPDATE", "DELETE FROM", "CREATE", "ALTER TABLE", "PRAGMA")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do to oneself (``number``), at which step, before it or after its effect."""

    step: str
    when: str
    number: signal.Signals = signal.SIGKILL


class Steps:
    """Watches this process from :meth:`install` on. Meant for a freshly forked one."""

    def __init__(self, home: Path, faults: Sequence[Fault] = ()) -> None:
        self.seen: list[tuple[str, int]] = []
        """Each step, and the thread it was taken by."""
        self._home = os.path.realpath(home) + "/"
        self._faults = {(f.step, f.when): f.number for f in faults}
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._inside = threading.local()

    def install(self) -> None:
        """Begin to watch."""
        self._watch_files()
        self._watch_database()
        self._watch_requests()
        self._watch_processes()

    # --- one step

    def _begin(self, label: str) -> str:
        label = _ID.sub("*", label)
        with self._lock:
            self._counts[label] += 1
            step = f"{label}#{self._counts[label]}"
            self.seen.append((step, threading.get_ident()))
        self._act(step, BEFORE)
        return step

    def _act(self, step: str, when: str) -> None:
        number = self._faults.get((step, when))
        if number is not None:
            # To this thread: a signal to the process may reach another first, and this one goes on meanwhile.
            signal.pthread_kill(threading.get_ident(), number)

    def _step(self, label: str, work: Callable[[], Any]) -> Any:
        self._inside.yes = True
        try:
            step = self._begin(label)
            result = work()
            self._act(step, AFTER)
            return result
        finally:
            self._inside.yes = False

    # --- files

    def _watch_files(self) -> None:
        for name in (
            "mkdir",
            "rmdir",
            "unlink",
            "remove",
            "fsync",
            "truncate",
            "ftruncate",
            "utime",
            "write",
        ):
            self._wrap_file(name, 1)
        for name in ("link", "rename", "replace"):
            self._wrap_file(name, 2)
        self._wrap_file("copy_file_range", 2)
        self._wrap_open()

    def _wrap_file(self, name: str, paths: int) -> None:
        real = getattr(os, name)

        @functools.wraps(real)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            where = None if self._busy else self._where(args, kwargs, paths)
            if where is None or (name == "write" and not _is_file(args[0])):
                return real(*args, **kwargs)
            return self._step(f"{name} {where}", lambda: real(*args, **kwargs))

        setattr(os, name, wrapped)

    def _wrap_open(self) -> None:
        real_low, real_high = os.open, io.open

        @functools.wraps(real_low)
        def low(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            where = None
            if flags & _WRITING and not self._busy:
                where = self._path(path, kwargs.get("dir_fd"))
            if where is None:
                return real_low(path, flags, *args, **kwargs)
            return int(self._step(f"open {where}", lambda: real_low(path, flags, *args, **kwargs)))

        @functools.wraps(real_high)
        def high(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            where = None
            if set(mode) & set("wax+") and not isinstance(file, int) and not self._busy:
                where = self._path(file, None)
            if where is None:
                return real_high(file, mode, *args, **kwargs)
            return self._step(f"open {where}", lambda: real_high(file, mode, *args, **kwargs))

        os.open = low  # type: ignore[assignment]
        io.open = builtins.open = high  # type: ignore[assignment]

    @property
    def _busy(self) -> bool:
        return getattr(self._inside, "yes", False)

    def _where(self, args: Sequence[Any], kwargs: dict[str, Any], paths: int) -> str | None:
        folder = kwargs.get("dst_dir_fd") if paths == 2 else kwargs.get("dir_fd")
        return self._path(args[paths - 1], folder)

    def _path(self, path: Any, folder: int | None) -> str | None:
        """The path below this world's home, or None for any other."""
        try:
            if isinstance(path, int):
                full = os.readlink(f"/proc/self/fd/{path}")
            else:
                base = "" if folder is None else os.readlink(f"/proc/self/fd/{folder}")
                full = os.path.join(base, os.fsdecode(path)) if base else os.path.abspath(os.fsdecode(path))
        except OSError:
            return None
        return full.removeprefix(self._home) if full.startswith(self._home) else None

    # --- database

    def _watch_database(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.engine.default import DefaultDialect

        def before(_c: Any, _cursor: Any, statement: str, _p: Any, context: Any, _many: bool) -> None:
            context._durable_step = self._begin(_of_statement(statement))

        def after(_c: Any, _cursor: Any, _s: str, _p: Any, context: Any, _many: bool) -> None:
            self._act(context._durable_step, AFTER)

        event.listen(Engine, "before_cursor_execute", before)
        event.listen(Engine, "after_cursor_execute", after)
        real = DefaultDialect.do_commit

        def commit(dialect: Any, connection: Any) -> None:
            self._step("COMMIT", lambda: real(dialect, connection))

        DefaultDialect.do_commit = commit  # type: ignore[method-assign]

    # --- object store

    def _watch_requests(self) -> None:
        from botocore.httpsession import URLLib3Session

        real = URLLib3Session.send

        def send(session: Any, request: Any) -> Any:
            return self._step(_of_request(request.method, request.url), lambda: real(session, request))

        URLLib3Session.send = send

    # --- processes

    def _watch_processes(self) -> None:
        real_init, real_wait = subprocess.Popen.__init__, subprocess.Popen.wait

        def init(popen: Any, args: Any, *rest: Any, **kwargs: Any) -> None:
            popen.step_name = os.path.basename(str(args[0] if isinstance(args, list | tuple) else args))
            self._step(f"start {popen.step_name}", lambda: real_init(popen, args, *rest, **kwargs))

        def wait(popen: Any, timeout: float | None = None) -> int:
            if popen.returncode is not None:
                return int(popen.returncode)
            return int(self._step(f"reap {popen.step_name}", lambda: real_wait(popen, timeout)))

        subprocess.Popen.__init__ = init  # type: ignore[assignment,method-assign]
        subprocess.Popen.wait = wait  # type: ignore[method-assign]


def _is_file(fd: int) -> bool:
    return stat.S_ISREG(os.fstat(fd).st_mode)


def _of_statement(statement: str) -> str:
    found = _SQL.match(statement)
    if found is None:
        return "SQL"
    verb, name = found.groups()
    return f"{verb} {name}" if verb.startswith(_NAMED) else verb


def _of_request(method: str, url: str) -> str:
    parts = urlsplit(url)
    bucket, _, key = parts.path.strip("/").partition("/")
    names = ",".join(sorted(name for name, _ in parse_qsl(parts.query, keep_blank_values=True)))
    return f"{method} {bucket[:1]}/{key}?{names}"
