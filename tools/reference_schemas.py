"""JSON Schemas of what the commands say, and docs/reference/json.md."""

from __future__ import annotations

import functools
import json
import operator
import sys
from dataclasses import dataclass
from typing import Any, is_typeddict

from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema
from reference_cli import commands

from ingestctl.cli import schemas, schemas_operator, schemas_setup

DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True, slots=True)
class Shape:
    """The ``data`` a command may answer with, and what a line of ``ndjson`` holds where it is not that."""

    data: tuple[Any, ...]
    items: tuple[Any, ...] = ()


SHAPES = {
    "jobs": Shape((schemas.Jobs,), (schemas.JobLine,)),
    "inspect": Shape((schemas.Inspect,)),
    "logs": Shape((schemas.Logs,), (schemas.LogLineData,)),
    "explain": Shape((schemas.Explain,), (schemas.DiagnosisData,)),
    "verify-artifacts": Shape(
        (schemas.VerifyOne, schemas.VerifyMany, schemas.VerifyListing), (schemas.VerifyOne, schemas.BadRow)
    ),
    "retry": Shape((schemas_operator.Retry, schemas_operator.RetryMany), (schemas_operator.Retry,)),
    "cleanup": Shape((schemas_operator.Cleanup,)),
    "escalate": Shape(
        (schemas_operator.Escalate, schemas_operator.EscalateReplay),
        (schemas_operator.RuleData, schemas_operator.EscalateReplay),
    ),
    "incidents list": Shape((schemas_operator.Incidents,), (schemas_operator.IncidentData,)),
    "incidents show": Shape((schemas_operator.IncidentReportData,)),
    "incidents note": Shape((schemas_operator.IncidentChanged,)),
    "incidents close": Shape((schemas_operator.IncidentChanged,)),
    "incidents export": Shape((schemas_operator.IncidentReportData,)),
    "submit": Shape((schemas.Submit,), (schemas.Submitted,)),
    "run": Shape((schemas.RunData, schemas.RunPending), (schemas.RunData,)),
    "init": Shape((schemas_setup.Init,)),
    "doctor": Shape(
        (schemas_setup.Doctor, schemas_setup.DoctorConfig),
        (schemas_setup.CheckData, schemas_setup.SettingData),
    ),
    "db status": Shape((schemas_setup.DbStatus,)),
    "db upgrade": Shape((schemas_setup.DbUpgrade,)),
    "demo": Shape((schemas.Demo,)),
}


class _Plain(GenerateJsonSchema):
    """Without the titles that only repeat names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        """Never."""
        return False


def schema_files() -> dict[str, str]:
    """Every schema file by name: one a command, and the envelope that all share."""
    _read_docstrings()
    files = {"envelope.json": _schema(schemas.Envelope)}
    for path in [c.path.removeprefix("ingestctl ") for c in commands()]:
        files[f"{path.replace(' ', '-')}.json"] = _command_schema(path)
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in files.items()}


def _command_schema(path: str) -> dict[str, Any]:
    shape = SHAPES.get(path)
    if shape is None:
        sys.exit(f"tools/reference_schemas.py: the command {path!r} has no shape in SHAPES")
    types = dict.fromkeys((*shape.data, *shape.items))
    union = functools.reduce(operator.or_, types, None)
    data = TypeAdapter(union).json_schema(mode="serialization", schema_generator=_Plain)
    names = {t.__name__ for t in shape.data}
    envelope = _schema(schemas.Envelope)
    envelope["title"] = f"ingestctl {path}"
    envelope["properties"]["command"] = {"const": path}
    definitions = envelope.pop("$defs") | data["$defs"]
    refs = [{"$ref": f"#/$defs/{name}"} for name in definitions if name in names]
    envelope["properties"]["data"] = {"anyOf": [*refs, {"type": "null"}]}
    envelope["$defs"] = dict(sorted(definitions.items()))
    return envelope


def _schema(shape: Any) -> dict[str, Any]:
    found = TypeAdapter(shape).json_schema(mode="serialization", schema_generator=_Plain)
    return {"$schema": DIALECT, **found}


def _read_docstrings() -> None:
    """Have pydantic take what stands under a field as its description."""
    for module in (schemas, schemas_operator, schemas_setup):
        for value in vars(module).values():
            if is_typeddict(value):
                value.__pydantic_config__ = ConfigDict(use_attribute_docstrings=True)


def json_page() -> str:
    """What programs read."""
    rows = []
    for path, shape in SHAPES.items():
        name = f"{path.replace(' ', '-')}.json"
        data = " or ".join(f"`{t.__name__}`" for t in shape.data)
        item = " or ".join(f"`{t.__name__}`" for t in shape.items) or "the data"
        rows.append(f"| `{path}` | {data} | {item} | [{name}](schemas/{name}) |")
    return "\n".join([_INTRO, *rows])


_INTRO = """# JSON

`--output json` prints one envelope on one line of stdout, whatever happens, usage errors included:

```json
{"schema": "ingestctl/v1", "command": "jobs", "status": "ok", "exit_code": 0,
 "data": {"jobs": [], "next": null}, "errors": [], "warnings": []}
```

- `status`: `ok` (exit codes 0 and 3), `partial` (16) or `error` (all others); `exit_code` is the process's.
- `data`: the command's result; null where an error left none.
- `errors`: `code` (stable), `message`, `hint`, and `job_id` where one job is concerned.
- Keys are snake_case, sizes bytes, durations seconds, times RFC 3339 in UTC. Fields may be added; none is
  renamed or retyped within `ingestctl/v1`.
- Messages, logs and progress go to stderr. Secrets and the queries of signed URLs are masked.

`--output ndjson` prints one item a line; when something failed, a last line is the envelope, its `data` null.

| command | data | line of ndjson | schema |
|---|---|---|---|"""
