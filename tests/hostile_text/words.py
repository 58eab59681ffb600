"""Names, words and values nobody should be able to hurt us with."""

from __future__ import annotations

NAMES = {
    "dots": "../../../etc/passwd",
    "slashes": "//a///b/./",
    "control": "a\x1b[31m\x07\r\n\tb\x9b2J\x00c",
    "long": "x" * 1000,
    "longer": "\u00e9" * 5000,
    "unicode": "\u0436e\u0301\U0001f642\u540d",
    "dash": "-x",
    "dashes": "--job-id=-x",
    "surrogates": "a\udcffb\ud800",
    "wildcards": "%_\\%[a-z]*",
    "bidi": "\u202egnp.exe\u2066\u200b",
    "markup": "[bold red]x[/][link=http://e]y[/]",
    "empty": "",
    "blank": " \t ",
    "sql": "'; DROP TABLE jobs; --",
    "shell": "%s{0}{x!r}$(id)`id`",
}
"""For whatever takes a word: an id, a source, a title, a reason, a file."""

VALUES = {
    "age": "999999w",
    "epoch": "0001-01-01T00:00:00+14:00",
    "doom": "9999-12-31T23:59:59-14:00",
    "max int": "9223372036854775808",
    "digits": "9" * 5000,
    "infinite": "1e999",
    "nan": "nan",
    "negative": "-1",
    "hex": "0x10",
    "arabic": "\u0663\u0660d",
    "page": "W1tbW1tb" * 3000,
    "list": "failed,,\u2028queued",
}
"""For whatever takes a number, a time, an age, a page mark or one of a list of words."""
