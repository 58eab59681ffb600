"""The committed reference is what the code says, and the documents name only what there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer

from ingestctl.cli.exits import MEANINGS
from ingestctl.cli.main import app
from ingestctl.config import load
from ingestctl.domain.causes import CAUSES
from ingestctl.settings import Settings, env_names, secret_names

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").glob("*.md")],
    key=lambda page: page.relative_to(ROOT).as_posix(),
)
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def reference(word: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(folder / "tools" / "reference.py"), word]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def test_the_committed_reference_is_what_the_code_says() -> None:
    done = reference("check")
    assert done.returncode == 0, done.stderr


def test_a_changed_missing_or_left_over_page_is_found_and_written_anew(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "tools", tmp_path / "tools")
    assert reference("write", tmp_path).returncode == 0
    assert reference("check", tmp_path).returncode == 0
    made = tmp_path / "docs/reference"
    (made / "exit-codes.md").write_text("0 means failure\n")
    (made / "schemas/jobs.json").unlink()
    (made / "schemas/no-such-command.json").write_text("{}")
    wrong = reference("check", tmp_path)
    assert wrong.returncode == 1
    for name in ("exit-codes.md", "schemas/jobs.json", "schemas/no-such-command.json"):
        assert f"docs/reference/{name} is not what the code says" in wrong.stderr
    assert reference("write", tmp_path).returncode == 0
    assert reference("check", tmp_path).returncode == 0


def test_every_name_in_env_example_is_a_setting_and_every_default_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    lines = re.findall(r"^#([A-Z_0-9]+=.*)$", text, re.MULTILINE)
    assert [line.partition("=")[0] for line in lines] == [
        env_names(field)[0] for field in Settings.model_fields.values()
    ]
    for name in {n for f in Settings.model_fields.values() for n in env_names(f)}:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    plain = load()
    (tmp_path / ".env").write_text("\n".join(lines))
    assert load() == plain


def test_exit_codes_and_causes_are_all_there() -> None:
    codes = (ROOT / "docs/reference/exit-codes.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\d+) \|", codes, re.MULTILINE) == [str(int(code)) for code in MEANINGS]
    causes = (ROOT / "docs/reference/causes.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", causes, re.MULTILINE) == list(CAUSES)


def test_the_man_page_is_clean_roff_and_shows_every_command() -> None:
    page = ROOT / "docs/man/ingestctl.1"
    text = page.read_text(encoding="ascii")
    requests = {line.split()[0] for line in text.splitlines() if line.startswith((".", "'"))}
    assert requests == {'.\\"', ".TH", ".SH", ".SS", ".PP", ".TP"}
    names = [path.removeprefix("ingestctl ") for path in leaves()]
    assert re.findall(r'^\.SS "(.+)"$', text.replace("\\-", "-"), re.MULTILINE) == names
    if not shutil.which("groff"):
        return
    command = ["groff", "-man", "-Tutf8", "-ww", "-P-cbou", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "--include-valid" in done.stdout


# --- links and names in every page


@cache
def tree() -> tuple[tuple[str, frozenset[str]], ...]:
    """Every command with its options."""

    def walk(command: object, context: typer.Context, path: str) -> Iterator[tuple[str, frozenset[str]]]:
        options = {word for p in command.get_params(context) for word in (*p.opts, *p.secondary_opts)}  # type: ignore[attr-defined]
        yield path, frozenset(word for word in options if word.startswith("-"))
        for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
            found = command.get_command(context, name)  # type: ignore[attr-defined]
            yield from walk(found, typer.Context(found, info_name=name, parent=context), f"{path} {name}")

    root = typer.main.get_command(app)
    return tuple(walk(root, typer.Context(root, info_name="ingestctl"), "ingestctl"))


def leaves() -> list[str]:
    """Commands that are not groups."""
    paths = [path for path, _ in tree()]
    return [path for path in paths if not any(other.startswith(f"{path} ") for other in paths)]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        assert goal.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(goal), f"{name} links to {target}"


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_option_that_is_named_exists(name: str) -> None:
    commands = dict(tree())
    first = {path.split()[1] for path in commands if " " in path}
    for call in calls((ROOT / name).read_text(encoding="utf-8")):
        words = call.split()
        while words and words[0].startswith("-"):
            words = words[2:] if words[0] in commands["ingestctl"] else words[1:]
        if not words or not re.fullmatch(r"[a-z-]+", words[0]):
            continue
        assert words[0] in first, f"{name}: there is no command in: ingestctl {call}"
        path = max((p for p in commands if f"ingestctl {' '.join(words)} ".startswith(f"{p} ")), key=len)
        given = {word.partition("=")[0] for word in words if re.fullmatch(r"--?[a-z][a-z-]*(=.*)?", word)}
        unknown = given - commands[path] - commands["ingestctl"]
        assert not unknown, f"{name}: {path} has no {unknown}: ingestctl {call}"


def calls(text: str) -> Iterator[str]:
    """What stands behind ``ingestctl`` in code: to the end of the line, the quotes or the pipe."""
    code = [
        *re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL),
        *re.findall(r"`([^`\n]+)`", text),
    ]
    for part in code:
        for call in re.findall(r"(?:^|[ (/])ingestctl ([^\n|`)&;]+)", part, re.MULTILINE):
            yield re.sub(r"\"[^\"]*\"|'[^']*'|\s#.*", " TEXT", call)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_that_is_named_exists(name: str) -> None:
    known = {n for f in Settings.model_fields.values() for n in env_names(f)}
    known |= {f"{n}_FILE" for n in secret_names()}
    for word in re.findall(r"\bINGESTCTL_[A-Z][A-Z_]*\b", (ROOT / name).read_text(encoding="utf-8")):
        assert word in known, f"{name} names {word}"
