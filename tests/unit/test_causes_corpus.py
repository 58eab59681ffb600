"""diagnose() against real messages from public issue threads and library sources.

``develop.jsonl`` and ``families.jsonl`` shaped the table and must be right throughout;
``held_out.jsonl`` is one whole round, labelled before diagnose() saw it and run after the table's
last change, misses kept: 98 % of it must be right. The README has the first run of every round.
The confusion table is printed in every run's log.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.causes import CAUSES, diagnose

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parent.parent / "data" / "causes"
PARTS = ("develop", "families", "held_out")
LEAST = {"develop": 1.0, "families": 1.0, "held_out": 0.98}


told = cache(diagnose)  # each message is read once, and asked about by several tests


def messages(part: str) -> list[dict[str, str]]:
    lines = (DATA / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def confusion(pairs: Counter[tuple[str, str]]) -> str:
    """Rows: what it is; columns: what diagnose() said, in the order of CAUSES."""
    codes = list(CAUSES)
    lines = [" " * 26 + "".join(f"{number:>4}" for number in range(1, len(codes) + 1)) + "  right"]
    for number, code in enumerate(codes, 1):
        row = [pairs[code, said] for said in codes]
        cells = "".join(f"{count or '.':>4}" for count in row)
        lines.append(f"{number:>2} {code:<23}{cells}  {row[number - 1]}/{sum(row)}")
    return "\n".join(lines)


@pytest.mark.parametrize("part", PARTS)
def test_diagnose_is_right_about_real_messages(part: str, figures: Callable[[str], None]) -> None:
    rows = messages(part)
    said = [told(row["text"]) for row in rows]
    pairs = Counter((row["cause"], diagnosis.cause) for row, diagnosis in zip(rows, said, strict=True))
    right = [
        (d.cause, d.retryable) == (row["cause"], row["retryable"]) for row, d in zip(rows, said, strict=True)
    ]
    by_cause, by_retry = (
        sum(getattr(d, name) == row[name] for row, d in zip(rows, said, strict=True)) / len(rows)
        for name in ("cause", "retryable")
    )
    both = sum(right)
    figures(
        f"{part}: {both} of {len(rows)} messages right ({both / len(rows):.1%}); "
        f"cause {by_cause:.1%}, retryability {by_retry:.1%}\n{confusion(pairs)}"
    )
    wrong = [row for row, is_right in zip(rows, right, strict=True) if not is_right]
    assert both >= LEAST[part] * len(rows), wrong


def test_the_corpus_is_large_labelled_and_kept_apart() -> None:
    develop, families, held_out = (messages(part) for part in PARTS)
    both = [*develop, *held_out]
    assert len(both) >= 9700
    assert len(held_out) >= 700
    texts = [row["text"] for row in (*both, *families)]
    assert len(set(texts)) == len(texts), "a message stands in two parts or twice"
    assert all(row["origin"] and row["retryable"] in {"yes", "after-fix", "no"} for row in both)
    counts = Counter(row["cause"] for row in both)
    assert set(counts) == set(CAUSES)
    assert min(counts.values()) >= 12, counts


def test_what_is_not_known_is_said_with_low_confidence() -> None:
    unknown = [row["text"] for part in PARTS for row in messages(part) if row["cause"] == "internal"]
    assert len(unknown) >= 100
    assert [text for text in unknown if told(text).confidence != "low"] == []


def _plain(text: str) -> str:
    """Without spaces, control characters and the escapes of JSON and quoted output."""
    unescaped = re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)
    unescaped = re.sub(r"\\+[nrt]?", "", unescaped)
    return "".join(
        character for character in unescaped if not character.isspace() and character.isprintable()
    )


@pytest.mark.parametrize("part", PARTS)
def test_the_evidence_is_a_line_of_the_message_itself(part: str) -> None:
    for row in messages(part):
        evidence = told(row["text"]).evidence
        for piece in re.split("…|: ", evidence.rstrip("…")):  # an exception's class stands apart in JSON
            assert _plain(piece) in _plain(row["text"]) or "\x1b" in row["text"], (evidence, row["text"])
