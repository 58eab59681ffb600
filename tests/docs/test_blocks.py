"""The comparison behind the executed pages: what it lets pass, and what it does not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import Shell, mismatch, steps_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE = """Text.

```console
$ echo one
one
$ false # exit 1
$ printf 'a\\n' | \\
  tr a b
b
```

```sh
not run
```
"""


def test_a_page_is_read_into_steps(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    steps = steps_of(page)
    assert [(s.command, s.code, s.expected) for s in steps] == [
        ("echo one", 0, ["one"]),
        ("false", 1, []),
        ("printf 'a\\n' | \\\n  tr a b", 0, ["b"]),
    ]


@pytest.mark.parametrize(
    ("expected", "output"),
    [
        ("a b", "a    b\n"),
        ("───", "──────\n"),
        ("id …", "id 42\n"),
        ("… ago …", "5 s ago  http://x\n"),
        ("a\n…\nb", "a\nb\n"),
        ("a\n…\nb", "a\nx\ny\nb\n"),
        ("…\nb\n…", "b\nb\nc\n"),
        ("", "anything\n"),
    ],
)
def test_what_passes(expected: str, output: str) -> None:
    assert mismatch(expected.splitlines(), output) is None


@pytest.mark.parametrize(
    ("expected", "output", "said"),
    [
        ("a", "b\n", "nothing like: a"),
        ("a", "a\nb\n", "there is more"),
        ("a\nb", "a\n", "nothing like: b"),
        ("a\n…\nb", "a\nx\n", "nothing like: b"),
        ("id …", "no id\n", "nothing like: id"),
        ("ab…ab", "ab\n", "nothing like: ab"),
        ("a …\n…\nz", "a 1\n" + "y\n" * 2000, "nothing like: z"),
    ],
)
def test_what_does_not(expected: str, output: str, said: str) -> None:
    assert said in (mismatch(expected.splitlines(), output) or "")


def test_a_shell_keeps_its_variables_and_tells_codes_and_both_streams(tmp_path: Path) -> None:
    shell = Shell({"PATH": os.environ["PATH"]}, tmp_path)
    assert shell.run("export X=$(echo 7)").code == 0
    ran = shell.run("test -t 1 && echo $X; echo bad >&2; exit_with() { return 11; }; exit_with")
    assert (ran.code, ran.output) == (11, "7\nbad\n")
    assert shell.run("cat").output == ""
    shell.close()
