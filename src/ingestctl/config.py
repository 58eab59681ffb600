"""Reading the settings: flags, then the environment, then ``.env``, then defaults.

The only reader of the environment. Secrets may also be given as ``NAME_FILE``, the path of a file that
holds the value. Pydantic judges what is not plainly right (sizes, switches, odd numbers, what breaks a
limit); it takes longer to load than much of what ``inspect`` needs, so it is loaded for such values only.
"""

from __future__ import annotations

import dataclasses
import operator
import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

from ingestctl.domain.errors import ConfigurationError
from ingestctl.domain.redact import Redactor
from ingestctl.settings import ABOUT, Secret, Settings, all_names, secret_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingestctl.settings import About

PREFIX = "INGESTCTL_"
_DECIMAL = {int: re.compile(r"[0-9]{1,15}"), float: re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")}
_KEEPS = {"gt": operator.gt, "ge": operator.ge, "le": operator.le}


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of ``doctor --show-config``."""

    name: str
    value: str
    source: str


def default_home() -> Path:
    """The XDG data folder of this program."""
    base = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")  # noqa: PTH111, PTH118
    return Path(base) / "ingestctl"


def load(overrides: Mapping[str, object] | None = None) -> Settings:
    """Read the settings; ``overrides`` are flags, by setting name.

    Raises ConfigurationError naming the setting, its value (secrets masked) and the fix.
    """
    dotenv = _dotenv()
    _refuse_unknown(dotenv)
    given: dict[str, object] = {}
    for field, about in ABOUT.items():
        for values in (_secret_files(about), os.environ, dotenv):
            name = next((n for n in about.names if values.get(n) is not None), None)
            if name is not None:
                given[field] = _value(field, name, values[name])
                break
    for field, value in (overrides or {}).items():
        if value is not None:
            given[field] = _value(field, ABOUT[field].names[0], value)
    try:
        # `S3_ENDPOINT=` in an env file or a compose file means "not set".
        settings = Settings(**{k: v for k, v in given.items() if v != ""})  # type: ignore[arg-type]
    except ValueError as error:
        raise ConfigurationError(str(error), hint="Correct one of the two (see .env.example).") from None
    return settings if settings.home else dataclasses.replace(settings, home=default_home())


def _value(field: str, name: str, value: Any) -> object:
    """The value of a setting that ``name`` gave; an empty one stays empty."""
    if value == "":
        return value
    about, kind = ABOUT[field], _kind(field)
    try:
        value = about.read(value) if about.read else value
        if kind in (Path, Secret):
            return kind(value)
        if isinstance(value, tuple) or (isinstance(value, str) and (kind is str or value in get_args(kind))):
            return value
        return _checked(value, kind, about)
    except ValueError as error:
        raise _explain(error, field, name, value) from None


def _kind(field: str) -> Any:
    """The type of a setting, without the None of one that may be unset."""
    hint = _types()[field]
    choices = get_args(hint)
    return choices[0] if NoneType in choices else hint


@cache
def _types() -> Mapping[str, Any]:
    return get_type_hints(Settings)


def _checked(value: object, kind: Any, about: About) -> object:
    if kind in (int, float) and isinstance(value, str) and _DECIMAL[kind].fullmatch(value):
        number = kind(value)
        if all(_KEEPS[name](number, limit) for name, limit in about.limits.items()):
            return number  # nothing about it is in doubt
    from pydantic import ByteSize, Field, TypeAdapter

    wanted: Any = Annotated[ByteSize if about.is_size else kind, Field(**about.limits)]
    checked: Any = TypeAdapter(wanted).validate_python(value)
    return int(checked) if about.is_size else checked


def show(settings: Settings, overrides: Mapping[str, object] | None = None) -> list[Shown]:
    """Every setting with its effective value (secrets masked) and where it came from."""
    dotenv = _dotenv()
    lines = []
    for key, about in ABOUT.items():
        names = about.names
        value = getattr(settings, key)
        source = "default"
        if (overrides or {}).get(key) is not None:
            source = "flag"
        elif used := next((n for n in names if n in os.environ), None):
            source = f"environment {used}"
        elif used := next((n for n in names if f"{n}_FILE" in os.environ and n in secret_names()), None):
            source = f"environment {used}_FILE"
        elif used := next((n for n in names if n in dotenv), None):
            source = f".env {used}"
        # The address of a notification is a secret from its first slash to its last.
        shown = "***" if key == "notify_urls" and value else _shown_value(value)
        lines.append(Shown(names[0], shown, source))
    return lines


def _secret_files(about: About) -> Mapping[str, str]:
    """``S3_SECRET_KEY_FILE=/run/secrets/key`` and the like, unless the plain name is set too."""
    found: dict[str, str] = {}
    for name in about.names:
        path = os.environ.get(f"{name}_FILE") if name in secret_names() else None
        if path and name not in os.environ:
            try:
                found[name] = Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigurationError(
                    f"{name}_FILE={path!r} cannot be read: {error}",
                    hint="Correct the path or its permissions.",
                ) from error
    return found


def _shown_value(value: object) -> str:
    if isinstance(value, Secret):
        secret = value.get_secret_value()
        return Redactor()(secret) if "://" in secret else "***"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _dotenv() -> Mapping[str, str | None]:
    try:
        if not Path(".env").exists():
            return {}
        from dotenv import dotenv_values

        return dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the file .env cannot be read: {error}", hint="Correct or remove .env."
        ) from error


def _refuse_unknown(dotenv: Mapping[str, str | None]) -> None:
    known = all_names() | {f"{n}_FILE" for n in secret_names()}
    for source, names in (("environment", os.environ), (".env", dotenv)):
        for name in names:
            # The COMPLETE variables are how shells ask a program for completions.
            if name.upper().startswith(PREFIX) and name not in known and "_COMPLETE" not in name:
                import difflib

                nearest = difflib.get_close_matches(name.upper(), sorted(known), 1, cutoff=0.5)
                fix = f"did you mean {nearest[0]}?" if nearest else "see .env.example for the names there are"
                raise ConfigurationError(f"unknown setting {name} in the {source}: {fix}")


def _explain(error: ValueError, field: str, name: str, value: object) -> ConfigurationError:
    problems: Any = getattr(error, "errors", None)  # Pydantic's have several
    reason = problems(include_url=False)[0]["msg"] if problems else str(error)
    shown = "***" if _kind(field) is Secret else repr(value)
    return ConfigurationError(
        f"{name}={shown} is not usable: {reason}", hint=f"Correct {name} (see .env.example)."
    )
