"""Write docs/reference/, docs/man/ and .env.example from the code, or check that they are what it says.

python tools/reference.py write|check
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import ByteSize, SecretStr
from reference_cli import commands_page, man_page
from reference_schemas import json_page, schema_files

from ingestctl.cli.exits import ALWAYS, MEANINGS
from ingestctl.domain.causes import CAUSES
from ingestctl.settings import Settings, env_names

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

ROOT = Path(__file__).resolve().parent.parent
NOTE = "<!-- Written by `make docs` from the code; edit that instead. -->\n"
SECTIONS = {
    "home": "Where this is",
    "database_url": "Database",
    "storage_url": "Object storage",
    "lease_s": "Leases, attempts and retries",
    "source_allow_networks": "Sources",
    "scratch_dir": "This machine",
    "cool_down_s": "Retry and the platform's API",
    "notify_urls": "Escalation",
    "hand_off": "After a success",
}
"""The settings before which a new section begins."""


def main() -> int:
    """Write or check; 1 if a file is not what the code says."""
    pages = {path: text.rstrip() + "\n" for path, text in _pages().items()}
    if sys.argv[1:] == ["write"]:
        for stale in _stale(pages):
            stale.unlink()
        for name, text in pages.items():
            path = ROOT / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return 0
    if sys.argv[1:] != ["check"]:
        print(__doc__, file=sys.stderr)
        return 2
    wrong = [name for name, text in pages.items() if _read(ROOT / name) != text]
    wrong += [str(path.relative_to(ROOT)) for path in _stale(pages)]
    for name in wrong:
        print(f"{name} is not what the code says: run `make docs`", file=sys.stderr)
    return 1 if wrong else 0


def _pages() -> dict[str, str]:
    return {
        "docs/reference/README.md": _index(),
        "docs/reference/commands.md": NOTE + commands_page(),
        "docs/reference/exit-codes.md": NOTE + _exit_codes(),
        "docs/reference/settings.md": NOTE + _settings(),
        "docs/reference/causes.md": NOTE + _causes(),
        "docs/reference/json.md": NOTE + json_page(),
        "docs/man/ingestctl.1": man_page([(names[0], about) for names, about, _ in _each_setting()]),
        ".env.example": _env_example(),
        **{f"docs/reference/schemas/{name}": text for name, text in schema_files().items()},
    }


def _stale(pages: dict[str, str]) -> list[Path]:
    """Schemas of commands that are no more."""
    found = (ROOT / "docs/reference/schemas").glob("*")
    return sorted(path for path in found if str(path.relative_to(ROOT)) not in pages)


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


def _index() -> str:
    pages = {
        "commands.md": "every command, its arguments, options and exit codes",
        "exit-codes.md": "what each exit code means, and which to retry",
        "settings.md": "every setting; [.env.example](../../.env.example) has them to copy",
        "causes.md": "why jobs fail, and what to do about each",
        "json.md": "what `--output json` and `ndjson` say; a schema for each command",
    }
    lines = [f"- [{name}]({name}): {about}" for name, about in pages.items()]
    man = "- [man page](../man/ingestctl.1): `man docs/man/ingestctl.1`"
    return f"{NOTE}# Reference\n\n" + "\n".join([*lines, man])


def _exit_codes() -> str:
    rows = [f"| {code.value} | {code.name.lower()} | {text} |" for code, text in MEANINGS.items()]
    always = ", ".join(str(code.value) for code in sorted(ALWAYS))
    return "\n".join(
        [
            "# Exit codes",
            "",
            "**1x: do not retry as is**, something must change. **2x: retry later**, the same call may work.",
            '"Found bad" (11) and "could not check" (20) never share a code.',
            "",
            "| code | name | meaning |",
            "|---:|---|---|",
            *rows,
            "",
            f"Every command may end with {always}; [commands.md](commands.md) lists the others of each.",
        ]
    )


def _causes() -> str:
    words = {
        "yes": "the same call may work later",
        "after-fix": "something must change first",
        "no": "this source will never work",
    }
    lines = [
        "# Causes",
        "",
        "Why a job failed, as `inspect`, `run`, `logs` and `explain` say it. A message may be told more",
        "precisely than its family: the diagnosis, not this table, says whether to retry.",
        "",
        *(f"- retryable **{key}**: {text}" for key, text in words.items()),
        "",
        "| code | title | retryable | what to do | next |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.code}` | {c.title} | {c.retryable} | {c.guidance} | `{c.next}` |" for c in CAUSES.values()
    ]
    return "\n".join(lines)


# --- settings


def _each_setting() -> list[tuple[tuple[str, ...], str, FieldInfo]]:
    return [(env_names(f), f.description or "", f) for f in Settings.model_fields.values()]


def _settings() -> str:
    lines = [
        "# Settings",
        "",
        "Flags come first, then the environment, then `.env` in the working folder, then defaults.",
        "`ingestctl doctor --show-config` shows each setting's value and where it came from. Unknown",
        "`INGESTCTL_…` names are refused. A **secret** may also be given as `NAME_FILE`, the path of a",
        "file that holds it; it is masked wherever it could be shown.",
    ]
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            lines += [
                "",
                f"## {SECTIONS[name]}",
                "",
                "| name | value | default | meaning |",
                "|---|---|---|---|",
            ]
        first, *others = env_names(field)
        also = f"; also {', '.join(f'`{n}`' for n in others)}" if others else ""
        secret = f" Secret: also `{first}_FILE`." if _is_secret(field) else ""
        value = _default(field)
        default = f"`{value}`" if value else ""
        about = _cell(f"{field.description}{secret}")
        lines.append(f"| `{first}`{also} | {_cell(_kind(field))} | {default} | {about} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _is_secret(field: FieldInfo) -> bool:
    return SecretStr in (field.annotation, *get_args(field.annotation))


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if isinstance(value, ByteSize):
        return value.human_readable().replace(".0", "")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    return "" if value in (None, ()) else str(value)


_SIGNS = (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<"))


def _kind(field: FieldInfo) -> str:
    """What a value looks like, with its limits."""
    outer = field.annotation
    inner = next((a for a in get_args(outer) if a is not type(None)), outer)
    if get_origin(outer) is Literal:
        return ", ".join(get_args(outer))
    name = env_names(field)[0]
    if "SECONDS" in name:
        return "seconds, up to 30 days"
    words = {ByteSize: "bytes (`512MiB`)", bool: "true or false", int: "number", float: "share", Path: "path"}
    limits = [(sign, getattr(m, name)) for m in field.metadata for name, sign in _SIGNS if hasattr(m, name)]
    shown = ", ".join(f"{sign} {limit:g}" for sign, limit in limits)
    kind = "text"
    if inner in words:
        kind = words[inner]
    elif str(outer).startswith("tuple"):
        kind = "list, by comma or space"
    return f"{kind}, {shown}" if shown and inner is not ByteSize else kind


def _env_example() -> str:
    lines = [
        "# Every setting with its default. Written by `make docs` from the code; edit that instead.",
        "# Copy to .env and uncomment what you change. (secret): NAME_FILE=/path/of/a/file works too.",
    ]
    for name, field in Settings.model_fields.items():
        if name in SECTIONS:
            lines += ["", f"# --- {SECTIONS[name]}"]
        secret = " (secret)" if _is_secret(field) else ""
        lines += ["", f"# {field.description}{secret}", f"#{env_names(field)[0]}={_default(field)}"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
