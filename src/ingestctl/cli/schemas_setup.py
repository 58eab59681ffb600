"""The ``data`` of the commands that set up and check; see :mod:`ingestctl.cli.schemas`."""

from typing import Literal

from typing_extensions import TypedDict


class MadeData(TypedDict):
    """One thing ``init`` made or found."""

    what: str
    created: bool


class Init(TypedDict):
    """``init``: what there is now."""

    database: str
    storage: str
    made: list[MadeData]


class CheckData(TypedDict):
    """One finding of ``doctor``; ``status`` is the verdict under the name other tools look for."""

    id: str
    verdict: Literal["ok", "warn", "fail", "skip"]
    status: Literal["ok", "warn", "fail", "skip"]
    detail: str
    hint: str


class Doctor(TypedDict):
    """``doctor``: every check."""

    checks: list[CheckData]


class SettingData(TypedDict):
    """One setting: its effective value (secrets masked) and where it came from."""

    name: str
    value: str
    source: str


class DoctorConfig(TypedDict):
    """``doctor --show-config``: every setting."""

    settings: list[SettingData]


class DbStatus(TypedDict):
    """``db status``: the schema there is, and the one this program needs."""

    database: str
    revision: str | None
    head: str
    up_to_date: bool
    missing: list[str]


class DbUpgrade(TypedDict):
    """``db upgrade``: the revisions applied, and what had been dropped and was made again."""

    from_revision: str | None
    to_revision: str
    applied: list[str]
    mended: list[str]
    changed: bool
