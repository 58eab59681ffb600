"""Exceptions as text that keeps their structure, without importing the libraries that raise them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MESSAGE = 1_500


def _attribute(thing: object, name: str) -> Any:
    """An attribute, or None: a property that raises must not hide the problem."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001
        return None


def links(problem: BaseException) -> Iterator[BaseException]:
    """The exception with what it wraps: what came before it first, its causes last."""
    seen: set[int] = set()
    before: list[BaseException] = []
    after: list[BaseException] = []
    queue = [problem]
    while queue and len(seen) < 40:
        error = queue.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        after.append(error)
        queue.extend(_wrapped(error))
        context = error.__context__
        if context is not None and not error.__suppress_context__ and error.__cause__ is None:
            before.append(context)
    known = {id(error) for error in after}
    for context in before:
        if id(context) not in known:
            yield context
            yield from _wrapped(context)
    yield from after


def _wrapped(error: BaseException) -> Iterator[BaseException]:
    """What is hidden inside: __cause__, sqlalchemy .orig, yt-dlp .exc_info and .cause, urllib3 .reason."""
    info = _attribute(error, "exc_info")
    hidden = [error.__cause__, *(_attribute(error, name) for name in ("orig", "cause", "reason"))]
    hidden.append(info[1] if isinstance(info, tuple) and len(info) == 3 else None)
    hidden.extend(error.exceptions[:20] if isinstance(error, BaseExceptionGroup) else ())
    return (link for link in chain(hidden, error.args[:2]) if isinstance(link, BaseException))


def describe(error: BaseException) -> str:
    """An exception as text that carries its structure: type, message, SQLSTATE or HTTP status."""
    kind = type(error)
    try:
        message = str(error)[:_MESSAGE]
    except Exception:  # noqa: BLE001  a broken __str__ must not hide the problem
        message = ""
    marks = [f"{kind.__module__}.{kind.__qualname__}: {message}"]
    evidence = _attribute(error, "evidence")
    if isinstance(evidence, str):
        marks.append(evidence[:_MESSAGE])
    state = _attribute(error, "sqlstate") or _attribute(error, "pgcode")
    if isinstance(state, str):
        marks.append(f"{kind.__module__} SQLSTATE {state}: {message}")
    status = _status_of(error)
    if status is not None:
        marks.append(f"HTTP Error {status} ({kind.__module__}: {message})")
    number = _attribute(error, "errno")
    if isinstance(error, OSError) and isinstance(number, int):
        marks.append(f"[Errno {number}] {message}")
    return "\n".join(mark.replace("\n", " ") for mark in marks)


def _status_of(error: BaseException) -> int | None:
    """The HTTP status of yt-dlp's and urllib's HTTPError and of a requests response."""
    response = _attribute(error, "response")
    candidates = (
        _attribute(error, "status"),
        _attribute(error, "code"),
        _attribute(response, "status_code"),
    )
    return next((c for c in candidates if type(c) is int and 400 <= c <= 599), None)


def retry_after(chained: list[BaseException]) -> float | None:
    """Seconds a Retry-After header in the chain asks us to wait."""
    for link in chained:
        headers = _attribute(_attribute(link, "response"), "headers") or _attribute(link, "headers")
        try:
            value = headers.get("Retry-After") if headers is not None else None
            if value is not None and 0 <= float(value) < 1e7:
                return float(value)
        except (AttributeError, TypeError, ValueError):  # a date, or not a mapping: no number to pass on
            continue
    return None
