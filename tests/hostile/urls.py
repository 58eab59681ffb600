"""URLs that must not be fetched. ``{port}`` is a port of this machine, on every address, to which nobody may
come.

``LITERAL`` are refused for what they say, ``NAMED`` for what their host resolves to when it is connected to.
"""

from __future__ import annotations

ADDRESSES = [
    # Ourselves, in every spelling that some resolver understands.
    "127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.255.255.254", "2130706433", "0x7f000001", "0x7F.1",
    "0177.0.0.1", "017700000001", "0x7f.0.0x0.1", "127.0.0.01", "0", "0.0.0.0", "0x0", "000.000.000.000",
    # Private, link-local, carrier-grade, metadata, multicast, reserved, documentation, benchmarks.
    "10.0.0.1", "10.255.255.255", "0xa000001", "172.16.0.1", "172.31.255.255", "192.168.0.1", "3232235521",
    "169.254.169.254", "169.254.0.1", "2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518",
    "100.64.0.1", "100.100.100.200", "192.0.0.192", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "192.88.99.1",
    # The same in IPv6, and whatever carries an IPv4 address through a tunnel or a translator.
    "[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:a9fe:a9fe]",
    "[::127.0.0.1]", "[fd00:ec2::254]", "[fc00::1]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]",
    "[fec0::1]", "[ff02::1]", "[2001:db8::1]", "[64:ff9b::7f00:1]", "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a00:1]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]", "[2001::7f00:1]",
    "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
    "[100::1]", "[2001:2::1]", "[2001:20::1]", "[3fff::1]", "[5f00::1]",
    "[4000::1]",
    "[::1%25lo]", "[::ffff:0:127.0.0.1]",
]  # fmt: skip
LITERAL = [f"http://{address}:{{port}}/v.mp4" for address in ADDRESSES] + [
    # Who is the host?
    "http://public.example@127.0.0.1:{port}/v.mp4",
    "http://public.example:80@127.0.0.1:{port}/v.mp4",
    "http://public.example%2f@127.0.0.1:{port}/v.mp4",
    "http://public.example#@127.0.0.1:{port}\\@127.0.0.1/v.mp4".replace("#@", "@"),
    "http://127.0.0.1:{port}\\@public.example/v.mp4",
    "http://public.example\\@127.0.0.1:{port}/v.mp4",
    "http:\\\\127.0.0.1:{port}\\v.mp4",
    "http:/127.0.0.1:{port}/v.mp4",
    "http:127.0.0.1:{port}/v.mp4",
    "//127.0.0.1:{port}/v.mp4",
    "http:///v.mp4",
    "http://:{port}/v.mp4",
    "http://@:{port}/v.mp4",
    "http://[::1/v.mp4",
    "http://]127.0.0.1[:{port}/v.mp4",
    "http://127.0.0.1 :{port}/v.mp4",
    "http://127.0.0.1\t:{port}/v.mp4",
    "http://127.0.0.1\r\nHost: public.example\r\n:{port}/v.mp4",
    "http://127.0.0.1\x00.public.example:{port}/v.mp4",
    "http://127.0.0.1:{port}\x7f/v.mp4",
    "http://127.0.0.1:0/v.mp4",
    "http://127.0.0.1:65536/v.mp4",
    "http://127.0.0.1:-1/v.mp4",
    "http://127.0.0.1:8o/v.mp4",
    "http://public.example:99999/v.mp4",
    "http://public.example:0/v.mp4",
    # Not http.
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "ftp://127.0.0.1:{port}/v.mp4",
    "gopher://127.0.0.1:{port}/_GET",
    "data:video/mp4;base64,AAAA",
    "javascript:alert(1)",
    "dict://127.0.0.1:{port}/d",
    "ldap://127.0.0.1:{port}/",
    "rtsp://127.0.0.1:{port}/v",
    "rtmp://127.0.0.1:{port}/v",
    "concat:http://127.0.0.1:{port}/a|b",
    "s3://bucket/v.mp4",
    "-o/etc/cron.d/x",
    "ytsearch:cats",
    "@/etc/passwd",
]

NAMES = {
    "localhost": "127.0.0.1",
    "LOCALHOST": "127.0.0.1",
    "localhost.": "127.0.0.1",
    "localhost.localdomain": "127.0.0.1",
    "loop.example": "127.0.0.1",
    "loop6.example": "::1",
    "mapped.example": "::ffff:127.0.0.1",
    "private.example": "10.0.0.5",
    "metadata.google.internal": "169.254.169.254",
    "metadata6.example": "fd00:ec2::254",
    "cgnat.example": "100.64.1.1",
    "nat64.example": "64:ff9b::a9fe:a9fe",
    "sixtofour.example": "2002:7f00:1::1",
    "teredo.example": "2001::7f00:1",
    "linklocal.example": "fe80::1",
    "multicast.example": "224.0.0.1",
    "zero.example": "0.0.0.0",
    "broadcast.example": "255.255.255.255",
    "xn--lcalhost-75a.example": "127.0.0.1",
    "bücher.example": "127.0.0.1",
}
"""Hosts and what they resolve to in these tests."""
SPELT = [
    "１２７.0.0.1",
    "127。0。0。1",
    "①②⑦.0.0.1",
    "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
    "127.0.0.1%2e",
    "%31%32%37.0.0.1",
    "local%68ost",
]
"""Hosts that become others on their way to the resolver."""
NAMED = [f"http://{host}:{{port}}/v.mp4" for host in (*NAMES, *SPELT)]
