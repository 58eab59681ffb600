"""The warm parent of all plays: ``python -m tests.reliability.company``.

Reads a request a line on stdin (``{"module": "matrix", "spec": {...}}``) and writes a report a line, both
JSON. Each play is a fork, so that what the program imports is imported once, and not once in each of
thousands of processes. It never opens a connection or starts a thread.
"""

from __future__ import annotations

import gc
import importlib
import json
import sys
from dataclasses import asdict
from typing import Any

from tests.reliability.actors import aside
from tests.reliability.matrix import load, warm


def _play(module: str, spec: dict[str, Any]) -> dict[str, Any]:
    report = importlib.import_module(f"tests.reliability.{module}").play(spec)
    return {"report": asdict(report), "modules": sorted(sys.modules)}


def main() -> None:
    warm(None)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = aside(lambda request=request: _play(**request))
            load(answer.pop("modules"))
            gc.freeze()  # or a collection in a fork would copy all of it
        except RuntimeError as error:
            answer = {"failed": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
