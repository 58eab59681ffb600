"""Reading the settings: flags, then the environment, then ``.env``, then defaults.

The only reader of the environment. Secrets may also be given as ``NAME_FILE``, the path of a file that
holds the value.
"""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr, ValidationError

from ingestctl.domain.errors import ConfigurationError
from ingestctl.domain.redact import Redactor
from ingestctl.settings import Settings, env_names, secret_names

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "INGESTCTL_"


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
    given = {k: v for k, v in (overrides or {}).items() if v is not None}
    by_alias = {env_names(Settings.model_fields[k])[0]: v for k, v in given.items()}
    try:
        settings = Settings(**(_secret_files(dotenv) | by_alias))  # type: ignore[arg-type]
    except ValidationError as error:
        raise _explain(error) from None
    return settings if settings.home else settings.model_copy(update={"home": default_home()})


def show(settings: Settings, overrides: Mapping[str, object] | None = None) -> list[Shown]:
    """Every setting with its effective value (secrets masked) and where it came from."""
    dotenv = _dotenv()
    lines = []
    for key, field in Settings.model_fields.items():
        names = env_names(field)
        value = getattr(settings, key)
        used = _given(names, dotenv)
        source = f"{used.source} {used.name}" if used else "default"
        if (overrides or {}).get(key) is not None:
            source = "flag"
        # The address of a notification is a secret from its first slash to its last.
        shown = "***" if key == "notify_urls" and value else _shown_value(value)
        lines.append(Shown(names[0], shown, source))
    return lines


def _given(names: Sequence[str], dotenv: Mapping[str, str | None]) -> Shown | None:
    """Where a setting is given: by which name, with which value. What is empty is not set."""
    files = [f"{name}_FILE" for name in names if name in secret_names()]
    sources = (("environment", os.environ), (".env", dotenv))
    places = ((source, name, there.get(name)) for source, there in sources for name in (*names, *files))
    return next((Shown(name, value, source) for source, name, value in places if value), None)


def _secret_files(dotenv: Mapping[str, str | None]) -> dict[str, object]:
    """``S3_SECRET_KEY_FILE=/run/secrets/key`` and the like, unless the plain name is set beside it."""
    found: dict[str, object] = {}
    for names in map(env_names, Settings.model_fields.values()):
        used = _given(names, dotenv)
        if used is None or used.name in names:
            continue
        try:
            found[names[0]] = Path(used.value).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"{used.name}={used.value!r} cannot be read: {error}",
                hint="Correct the path or its permissions.",
            ) from error
    return found


def _shown_value(value: object) -> str:
    if isinstance(value, SecretStr):
        # A bare "/" in a password is a mistake, and still a password.
        secret = re.sub(r"://.*@", "://***@", value.get_secret_value(), flags=re.DOTALL)
        return Redactor()(secret) if "://" in secret else "***"
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _dotenv() -> Mapping[str, str | None]:
    from dotenv import dotenv_values

    try:
        return dotenv_values(".env")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"the file .env cannot be read: {error}", hint="Correct or remove .env."
        ) from error


def _refuse_unknown(dotenv: Mapping[str, str | None]) -> None:
    known = {n for f in Settings.model_fields.values() for n in env_names(f)}
    known |= {f"{n}_FILE" for n in secret_names()}
    for source, names in (("environment", os.environ), (".env", dotenv)):
        for name in names:
            # The COMPLETE variables are how shells ask a program for completions.
            if name.upper().startswith(PREFIX) and name not in known and "_COMPLETE" not in name:
                nearest = difflib.get_close_matches(name.upper(), sorted(known), 1, cutoff=0.5)
                fix = f"did you mean {nearest[0]}?" if nearest else "see .env.example for the names there are"
                raise ConfigurationError(f"unknown setting {name} in the {source}: {fix}")


def _explain(error: ValidationError) -> ConfigurationError:
    first = error.errors(include_url=False)[0]
    reason = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return ConfigurationError(reason, hint="Correct one of the two (see .env.example).")
    name = str(first["loc"][0])
    value = "***" if name in secret_names() else repr(first["input"])
    return ConfigurationError(
        f"{name}={value} is not usable: {reason}", hint=f"Correct {name} (see .env.example)."
    )
