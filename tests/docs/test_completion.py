"""Tab on a real command line: the shells' own protocols, a real database, and nothing but answers."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("ingestctl")
SOURCES = [f"https://example.org/{n}.mp4" for n in range(60)]


def program(*arguments: str, home: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAM), *arguments],
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "INGESTCTL_HOME": str(home), **env},
        cwd=home.parent,
        capture_output=True,
        text=True,
        timeout=60,
    )


def offered(line: str, home: Path, **env: str) -> list[str]:
    """What bash is offered for the last word of ``line``."""
    words = line.split(" ")
    protocol = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_INGESTCTL_COMPLETE": "complete_bash"}
    done = program(home=home, **protocol, **env)
    assert done.stderr == ""
    return done.stdout.split()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 queued jobs, the first of them failed, and one whose id is no word to a shell."""
    home = tmp_path_factory.mktemp("completion") / "home"
    home.mkdir()
    assert program("submit", *SOURCES, home=home).returncode == 0
    with sqlite3.connect(home / "ingestctl.db") as database:
        first = "(SELECT id FROM jobs ORDER BY queued_at LIMIT 1)"
        database.execute(f"UPDATE jobs SET status = 'failed' WHERE id = {first}")
        odd = "(SELECT id FROM jobs WHERE status = 'queued' LIMIT 1)"
        database.execute(f"UPDATE jobs SET id = '$(touch pwned)' WHERE id = {odd}")
    return home


def ids(home: Path) -> set[str]:
    with sqlite3.connect(home / "ingestctl.db") as database:
        return {row[0] for row in database.execute("SELECT id FROM jobs")}


def test_live_job_ids_are_offered_but_at_most_fifty(home: Path) -> None:
    found = offered("ingestctl inspect ", home)
    assert 45 <= len(found) <= 50
    assert set(found) <= ids(home)


def test_a_prefix_narrows_them(home: Path) -> None:
    [one, *_] = sorted(i for i in ids(home) if "$" not in i)
    assert offered(f"ingestctl inspect {one[:8]}", home) == [one]
    assert offered(f"ingestctl retry --job-id {one[:8]}", home) == [one]


def test_an_id_that_is_no_plain_word_is_never_offered(home: Path) -> None:
    assert not [word for word in offered("ingestctl inspect $", home) if "$" in word]
    everything = offered("ingestctl inspect ", home)
    assert everything
    assert not [word for word in everything if "$" in word or "touch" in word]


def test_the_database_of_the_options_typed_before_is_asked(home: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert offered("ingestctl inspect ", tmp_path / "other") == []
    assert offered(f"ingestctl --home {home} inspect ", tmp_path / "other") != []


def test_words_of_the_runbook_are_offered(home: Path) -> None:
    assert offered("ingestctl jobs --status f", home) == ["failed"]
    assert offered("ingestctl jobs --status failed,pe", home) == ["failed,pending"]
    assert offered("ingestctl jobs --phase s", home) == ["storing"]
    assert offered("ingestctl retry --cause rate", home) == ["rate_limited"]
    assert "verify-artifacts" in offered("ingestctl ver", home)


def test_no_database_is_created(tmp_path: Path) -> None:
    home = tmp_path / "nothing"
    home.mkdir()
    assert offered("ingestctl inspect ", home) == []
    assert list(home.iterdir()) == []


def test_an_old_database_is_not_migrated(tmp_path: Path) -> None:
    home = tmp_path / "old"
    home.mkdir()
    with sqlite3.connect(home / "ingestctl.db") as database:
        database.execute("CREATE TABLE jobs (id TEXT)")
    before = (home / "ingestctl.db").read_bytes()
    assert offered("ingestctl inspect ", home) == []
    assert (home / "ingestctl.db").read_bytes() == before


def test_wrong_settings_say_nothing(home: Path) -> None:
    assert offered("ingestctl inspect ", home, INGESTCTL_HOMME="x") == []
    assert offered("ingestctl inspect ", home, DATABASE_URL="mysql://nobody") == []


def test_a_server_that_keeps_silent_does_not_hold_the_prompt(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://u:p@127.0.0.1:{silent.getsockname()[1]}/x"
        began = time.monotonic()
        assert offered("ingestctl inspect ", home, DATABASE_URL=url) == []
        assert time.monotonic() - began < 8  # 1.5 s, and the start of Python on a busy machine


def test_real_bash_completes_with_the_script_the_program_prints(home: Path) -> None:
    bash = shutil.which("bash")
    assert bash
    # bash asks the program which shell it is in by its parent, as a person's shell would.
    script = (
        'eval "$(ingestctl --show-completion)"\n'
        'COMP_WORDS=(ingestctl jobs --phase "");  COMP_CWORD=3; _ingestctl_completion ingestctl\n'
        'printf "%s\\n" "${COMPREPLY[@]}"; complete -p ingestctl'
    )
    env = {
        "PATH": f"{PROGRAM.parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "INGESTCTL_HOME": str(home),
    }
    done = subprocess.run(
        [bash, "--norc", "-c", script], check=False, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split("\n")[:3] == ["downloading", "processing", "storing"], done.stderr
    assert "complete -o default -F _ingestctl_completion ingestctl" in done.stdout


def test_zsh_and_fish_are_answered_in_their_own_forms(home: Path) -> None:
    zsh = program(
        home=home, _INGESTCTL_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS="ingestctl jobs --phase s"
    )
    assert '"storing"' in zsh.stdout
    fish = program(
        home=home,
        _INGESTCTL_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS="ingestctl jobs --phase s",
    )
    assert fish.stdout.split() == ["storing"]
