"""Addresses in every spelling, and secrets in every place: none gets through."""

from __future__ import annotations

import ipaddress
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingestctl.cli.text import safe_text
from ingestctl.domain.errors import SourceRefused
from ingestctl.domain.redact import MASK, Redactor
from ingestctl.media.url_guard import check_url, guarded, is_allowed

many = settings(
    max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)

FORBIDDEN_4 = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
    *("192.0.0.0/29", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
)
FORBIDDEN_6 = (
    *("::/128", "::1/128", "::ffff:127.0.0.0/104", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32"),
    *("2001:db8::/32", "2002::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
)


def _within(networks: tuple[str, ...]) -> st.SearchStrategy[Any]:
    """Addresses of these networks, the first and last of each among them."""
    nets = [ipaddress.ip_network(n) for n in networks]
    return st.sampled_from(nets).flatmap(
        lambda net: st.integers(0, net.num_addresses - 1).map(lambda n: net.network_address + n)
    )


forbidden_4, forbidden_6 = _within(FORBIDDEN_4), _within(FORBIDDEN_6)


def _number(value: int, base: str) -> str:
    return {"dec": f"{value}", "hex": f"0x{value:x}", "HEX": f"0X{value:08X}", "oct": f"0{value:o}"}[base]


@st.composite
def spelled_4(draw: st.DrawFn) -> tuple[Any, str]:
    """An address that must not be reached, in a form inet_aton(3) reads: 1 to 4 numbers of any base."""
    address = draw(forbidden_4)
    bases = st.sampled_from(["dec", "hex", "HEX", "oct"])
    whole, parts = int(address), draw(st.integers(1, 4))
    heads = [(whole >> (24 - 8 * i)) & 0xFF for i in range(parts - 1)]
    rest = whole & ((1 << (32 - 8 * (parts - 1))) - 1)
    return address, ".".join(_number(n, draw(bases)) for n in (*heads, rest)) + draw(
        st.sampled_from(["", "."])
    )


@st.composite
def spelled_6(draw: st.DrawFn) -> tuple[Any, str]:
    """IPv6 that must not be reached, and IPv6 that carries such an IPv4 address."""
    inner = draw(forbidden_4)
    carried = st.sampled_from(
        [
            f"::ffff:{inner}",
            f"::{inner}",
            f"64:ff9b::{inner}",
            f"2002:{int(inner) >> 16:x}:{int(inner) & 0xFFFF:x}::1",
        ]
    )
    address = ipaddress.IPv6Address(draw(carried | forbidden_6.map(str)))
    form = draw(st.sampled_from([str(address), address.exploded, address.exploded.upper()]))
    return address, f"[{form}{draw(st.sampled_from(['', '%25eth0']))}]"


@many
@given(
    spelled_4() | spelled_6(),
    st.sampled_from(["http", "HTTPS"]),
    st.sampled_from(["", "u@", "good.example@", "good.example:80@", "a%40b@"]),
    st.sampled_from(["", ":80", ":8080"]),
    st.sampled_from(["", "/", "/v.mp4", "?@good.example", "#@good.example", "/@good.example"]),
)
def test_no_spelling_of_a_forbidden_address_passes(
    spelled: tuple[Any, str], scheme: str, user: str, port: str, rest: str
) -> None:
    address, host = spelled
    assert not is_allowed(address, [])
    with pytest.raises(SourceRefused):
        check_url(f"{scheme}://{user}{host}{port}{rest}", [])


@many
@given(forbidden_4 | forbidden_6)
def test_no_connect_to_a_forbidden_address_passes(address: Any) -> None:
    guard = guarded([])
    with pytest.raises(SourceRefused):
        guard.connecting(None, (str(address), 80))
    with pytest.raises(SourceRefused):  # and after one, none
        guard.connecting(None, ("1.1.1.1", 80))


@many
@given(st.ip_addresses(), _within(("10.0.0.0/8", "192.168.7.0/30")))
def test_an_allowed_network_opens_itself_alone(address: Any, inside: Any) -> None:
    network = ipaddress.ip_network("10.0.0.0/8")
    mapped = getattr(address, "ipv4_mapped", None) or address
    if not (mapped.version == 4 and mapped in network):
        assert is_allowed(address, [network]) == is_allowed(address, [])
    assert is_allowed(inside, [network]) == (inside in network)


@many
@given(st.text(st.characters(), max_size=80))
def test_what_is_shown_is_one_plain_line_and_nothing_is_lost(text: str) -> None:
    shown = safe_text(text)
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    assert all(unicodedata.category(c) not in hidden or c in "\u200c\u200d" for c in shown)
    assert safe_text(shown) == shown
    assert [c for c in text if c.isalnum()] == [c for c in text if c.isalnum() and c in shown]


# --- secrets

secrets = st.text("abcXYZ0189-_~", min_size=16, max_size=24)
around = st.text(st.characters(exclude_characters="abcXYZ0189-_~"), max_size=30)
NAMES = (
    "X-Amz-Signature",
    "sig",
    "token",
    "access_token",
    "Signature",
    "Policy",
    "Key-Pair-Id",
    "st",
    "hmac",
    "key",
)
PLACES = (
    "https://user:{}@h.example/x",
    "postgresql://u:{}@h/x",
    "Authorization: Bearer {}",
    "Cookie: a={}",
    "password={}",
    "'api_key': '{}'",
    "AWS_SECRET_ACCESS_KEY={}",
    *(f"https://h.example/x?a=1&{name}={{}}&b=2" for name in NAMES),
    *(f"GET /x?{name}={{}} HTTP/1.1" for name in NAMES[:3]),
)


@many
@given(secrets, st.sampled_from(PLACES), around)
def test_what_stands_where_secrets_stand_is_masked(secret: str, place: str, text: str) -> None:
    redact = Redactor()
    message = f"error: {place.format(secret)}"
    assert secret not in redact(message)
    assert redact(redact(message)) == redact(message)
    assert secret not in json.dumps(redact.data({"x": [{"message": message, "n": 1}, text]}))


@many
@given(secrets, around, around, st.dictionaries(st.sampled_from("abc"), around, max_size=2))
def test_a_known_secret_is_masked_wherever_it_stands(
    secret: str, before: str, after: str, data: dict[str, str]
) -> None:
    redact = Redactor([secret])
    assert secret not in redact(f"{before}{secret}{after}")
    assert MASK in redact(f"{before}{secret}{after}")
    assert secret not in json.dumps(redact.data({**data, "z": [f"{before}{secret}", {"y": secret}]}))
    assert secret not in json.dumps(redact.data({secret: 1, f"x{secret}": {secret: "v"}}))
