from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import DeadlineExceeded, Interrupted, ScratchFull, SourceRefused, ToolMissing
from ingestctl.domain.stop import Stop
from ingestctl.media import process

if TYPE_CHECKING:
    from pathlib import Path

SH = "/bin/sh"


def _run(script: str, cwd: Path, **options: object) -> process.Finished:
    options = {"deadline_s": 20, "stop": Stop(), **options}
    return process.run([SH, "-c", script], cwd=cwd, **options)  # type: ignore[arg-type]


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except FileNotFoundError:
        return False


def _gone(pid: int, within: float = 3) -> bool:
    until = time.monotonic() + within
    while _alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not _alive(pid)


def test_output_status_and_lines(tmp_path: Path) -> None:
    lines: list[str] = []
    done = _run("echo out; echo one >&2; printf 'two\\rthree' >&2; exit 3", tmp_path, on_line=lines.append)
    assert (done.returncode, done.stdout, lines) == (3, b"out\n", ["one", "two", "three"])
    assert done.evidence == "three"


def test_the_environment_carries_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("INGESTCTL_HOME", "/elsewhere")
    said = _run("env", tmp_path).stdout.decode()
    names = {line.split("=", 1)[0] for line in said.splitlines()}
    assert names <= {"PATH", "LANG", "LC_ALL", "HOME", "TMPDIR", "PWD", "SHLVL", "_", "OLDPWD"}
    assert f"HOME={tmp_path}" in said


def test_a_deadline_kills_the_whole_group(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="deadline"):
        _run("sleep 60 & echo $! > grandchild; echo $$ > child; wait", tmp_path, deadline_s=0.5)
    assert time.monotonic() - started < 2
    for name in ("child", "grandchild"):
        assert _gone(int((tmp_path / name).read_text()))


def test_a_grandchild_left_behind_does_not_outlive_the_call(tmp_path: Path) -> None:
    assert _run("sleep 60 >/dev/null 2>&1 & echo $! > pid", tmp_path).returncode == 0
    assert _gone(int((tmp_path / "pid").read_text()))


def test_a_child_that_closed_its_pipes_still_meets_its_deadline(tmp_path: Path) -> None:
    with pytest.raises(DeadlineExceeded):
        _run("exec >&- 2>&-; sleep 60", tmp_path, deadline_s=0.5)


def test_a_stop_kills_at_once_and_is_what_is_raised(tmp_path: Path) -> None:
    stop = Stop()
    threading.Timer(0.3, stop.ask, (Interrupted("SIGTERM"),)).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        _run("echo $$ > pid; exec sleep 60", tmp_path, stop=stop)
    assert time.monotonic() - started < 1.3
    assert _gone(int((tmp_path / "pid").read_text()))


def test_nothing_is_started_after_a_stop(tmp_path: Path) -> None:
    stop = Stop()
    stop.ask(Interrupted("SIGTERM"))
    with pytest.raises(Interrupted):
        _run("touch started", tmp_path, stop=stop)
    assert not (tmp_path / "started").exists()


def test_an_exception_in_a_callback_leaves_nothing_alive(tmp_path: Path) -> None:
    def fail(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run("echo $$ > pid; echo hello >&2; exec sleep 60", tmp_path, on_line=fail)
    assert _gone(int((tmp_path / "pid").read_text()))


def test_output_is_bounded(tmp_path: Path) -> None:
    done = _run("exec yes", tmp_path, stdout_limit=1000)
    assert done.stdout_truncated
    assert len(done.stdout) == 1000


def test_a_file_cannot_grow_beyond_its_limit(tmp_path: Path) -> None:
    done = _run("exec cat /dev/zero > big", tmp_path, limits=process.Limits(file_size=100_000))
    assert done.returncode == -signal.SIGXFSZ
    assert (tmp_path / "big").stat().st_size == 100_000


def test_a_full_disk_is_told_from_other_failures(tmp_path: Path) -> None:
    done = _run("echo 'write: No space left on device' >&2; exit 1", tmp_path)
    with pytest.raises(ScratchFull):
        done.raise_if_full()


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="no-such-program"):
        process.run(["/no-such-program"], deadline_s=1, stop=Stop(), cwd=tmp_path)


PARENT = """
import sys, threading
from pathlib import Path
from ingestctl.domain.stop import Stop
from ingestctl.media import process
work = lambda: process.run(["/bin/sh", "-c", "echo $$ > pid; exec sleep 60"], deadline_s=60, stop=Stop(),
                           cwd=Path(sys.argv[1]))
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def test_children_die_when_their_parent_is_killed(tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(tmp_path)])
    pid_file = tmp_path / "pid"
    until = time.monotonic() + 10
    while not (pid_file.exists() and pid_file.read_text().strip()) and time.monotonic() < until:
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    assert _alive(pid)
    parent.kill()
    parent.wait()
    assert _gone(pid)


class _Popen(subprocess.Popen):  # type: ignore[type-arg]
    """Stands where a library's own Popen class stands."""


process.adopt_popen(_Popen)


def test_a_librarys_children_belong_to_the_thread_that_entered(tmp_path: Path) -> None:
    group = process.Children(tmp_path)
    with group:
        child = _Popen([SH, "-c", "env > seen; exec sleep 60"], cwd=tmp_path)
        assert os.getpgid(child.pid) == child.pid
        until = time.monotonic() + 5
        while not (tmp_path / "seen").exists() or not (tmp_path / "seen").read_text():
            assert time.monotonic() < until
            time.sleep(0.01)
    assert child.wait(3) == -signal.SIGKILL
    assert not [n for n in (tmp_path / "seen").read_text().splitlines() if n.startswith("PYTEST")]
    late = _Popen([SH, "-c", "exit 0"])  # outside: started as ever
    assert late.wait(3) == 0


def test_after_the_kill_no_child_lives_on(tmp_path: Path) -> None:
    group = process.Children(tmp_path)
    with group:
        group.kill()
        assert _Popen(["/bin/sleep", "60"]).wait(3) == -signal.SIGKILL


def test_a_refused_command_is_never_started(tmp_path: Path) -> None:
    def refuse(argv: list[str]) -> list[str]:
        raise SourceRefused("no")

    with process.Children(tmp_path, rewrite=refuse):
        with pytest.raises(SourceRefused):
            _Popen(["/usr/bin/touch", str(tmp_path / "ran")])
        with pytest.raises(ToolMissing, match="shell"):
            _Popen(textwrap.dedent(f"touch {tmp_path}/ran"), shell=True)
    assert not (tmp_path / "ran").exists()
