"""Database URLs: what they may say, and how they are shown. Only a libpq URL needs its library."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl

from ingestctl.domain.errors import ConfigurationError

POSTGRESQL_SCHEMES = ("postgresql+psycopg", "postgresql", "postgres")


def safe_url(url: str) -> str:
    """``url`` for people: no password, however badly it is formed."""
    shown = re.sub(r"(?i)([?&](?:password|sslpassword|passfile)=)[^&]*", r"\1***", url)
    return re.sub(
        r"://([^:/?#@]*)(?::.*)?@", lambda m: f"://{m[1]}{':***' if ':' in m[0][3:] else ''}@", shown
    )


def is_sqlite(url: str) -> bool:
    """Whether ``url`` names an SQLite file."""
    return url.startswith("sqlite:")


def check_url(url: str) -> None:
    """Raise ConfigurationError, without the password in its text, unless ``url`` names a database."""
    if is_sqlite(url):
        sqlite_path(url)
    else:
        postgresql_parameters(url)


def postgresql_parameters(url: str) -> dict[str, Any]:
    """libpq's parameters in ``url``. Raises ConfigurationError, without the password in its text."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in POSTGRESQL_SCHEMES:
        raise ConfigurationError(
            f"database URL {safe_url(url)!r} is not supported",
            hint="Use postgresql://user:password@host:5432/name or sqlite:////absolute/path.db.",
        )
    parameters = _libpq(rest)
    if parameters is not None:
        return parameters
    base, _, query = rest.partition("?")
    if _libpq(base) is not None:
        names = [name for name, value in parse_qsl(query, keep_blank_values=True) if not _known(name, value)]
        raise ConfigurationError(
            f"database URL {safe_url(url)!r} has parameters that PostgreSQL does not know: "
            f"{', '.join(names) or query[:40]}",
            hint="Correct what follows the question mark (sslmode, connect_timeout and the like).",
        )
    raise ConfigurationError(
        f"database URL {safe_url(url)!r} is malformed",
        hint="Percent-encode special characters in the user name and password (/ is %2F, @ is %40).",
    )


def _known(name: str, value: str) -> bool:
    import psycopg
    from psycopg.conninfo import make_conninfo

    try:
        make_conninfo("", **{name: value})
    except (psycopg.Error, TypeError):
        return False
    return True


def _libpq(rest: str) -> dict[str, Any] | None:
    """What libpq reads in ``postgresql://{rest}``; None where it cannot (its words may quote a password)."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        parameters = dict(conninfo_to_dict(f"postgresql://{rest}"))
    except psycopg.Error:
        return None
    # libpq looks at ports only when it connects; a password with a bare "/" ends up as one.
    ports = str(parameters.get("port") or "").split(",")
    return parameters if all(not p or (p.isdecimal() and 0 < int(p) < 65536) for p in ports) else None


def sqlite_path(url: str) -> str:
    """The file that ``sqlite:///path`` names (four slashes: an absolute path)."""
    path = url.removeprefix("sqlite:///")
    if path == url or not path or path.startswith(":memory:") or "?" in path:
        raise ConfigurationError(
            f"database URL {safe_url(url)!r} is not supported",
            hint="Use sqlite:///relative.db or sqlite:////absolute/path.db, without parameters.",
        )
    return path
