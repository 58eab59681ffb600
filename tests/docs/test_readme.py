"""The README's console blocks, executed in an empty home."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.docs.blocks import Shell, mismatch, steps_of

ROOT = Path(__file__).resolve().parents[2]


def test_every_console_block_of_the_readme_does_what_it_says(tmp_path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert '@INGESTCTL_HOME="$$(pwd)/.demo" $(PY) -m ingestctl demo' in makefile
    scripts = str(Path(sys.executable).parent)
    env = {"PATH": f"{scripts}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    shell = Shell(env, tmp_path, columns=140)
    steps = steps_of(ROOT / "README.md")
    assert len(steps) >= 4
    for step in steps:
        # What the target runs, without making an environment for it first.
        ran = shell.run(step.command.replace("make demo", "INGESTCTL_HOME=$PWD/.demo ingestctl demo"))
        assert ran.code == step.code, f"{step.command}: exit {ran.code}\n{ran.output}"
        assert mismatch(step.expected, ran.output) is None, f"{step.command}\n{ran.output}"
    shell.close()
