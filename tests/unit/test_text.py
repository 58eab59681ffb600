"""Nothing from outside can steer a terminal."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from ingestctl.cli.text import safe_text


def test_controls_bidi_and_line_breaks_are_shown() -> None:
    assert safe_text("a\x1b[2Jb") == "a\\e[2Jb"
    assert safe_text("a\u202egpj.mp4") == "a\\u202egpj.mp4"
    assert safe_text("one\ntwo\r\tx\x00\x9b") == "one\\ntwo\\r\\tx\\x00\\x9b"
    assert safe_text("\ud800 \U000e0001") == "\\ud800 \\U000e0001"


def test_real_names_stay() -> None:
    for name in (
        "Ünïcödé – “quoted”",
        "日本語のビデオ",
        "👩\u200d👩\u200d👧",
        "[bold]markup[/]",
        "मानक\u200dहिन्दी",
    ):
        assert safe_text(name) == name


def test_limit() -> None:
    assert safe_text("abcdef", 4) == "abc…"
    assert safe_text("abcd", 4) == "abcd"


@given(st.text(alphabet=st.characters()), st.integers(1, 50))
def test_always_printable_and_one_line(text: str, limit: int) -> None:
    shown = safe_text(text, limit)
    assert len(shown) <= limit
    joiners = {"\u200c", "\u200d"}
    assert all(
        unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        for c in shown
        if c not in joiners
    )
