"""``explain``: messages to diagnoses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingestctl.domain.causes import Diagnosis, diagnose
from ingestctl.ops.logs import short_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO


def explain(texts: Iterable[str]) -> Iterator[Diagnosis]:
    """The diagnosis of each message, in order. A message may have many lines."""
    return map(diagnose, texts)


def messages(stream: TextIO) -> Iterator[str]:
    """One message per line of a stream; blank lines are none."""
    return (line.strip() for line in short_lines(stream) if line.strip())
