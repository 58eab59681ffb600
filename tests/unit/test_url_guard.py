from __future__ import annotations

import ipaddress
import socket
import threading

import pytest

from ingestctl.domain.errors import Interrupted, SourceRefused
from ingestctl.media.url_guard import check_url, guarded, is_allowed

LOOPBACK = [ipaddress.ip_network("127.0.0.1/32")]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1",
        "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:7f00:1::",
        "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2001::1", "2001:db8::1", "fec0::1",
        "192.0.0.192", "192.88.99.1", "2001:2::1", "3fff::1", "5f00::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_refused(address: str) -> None:
    assert not is_allowed(ipaddress.ip_address(address), [])


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_allowed(ipaddress.ip_address(address), [])


def test_an_allowed_network_lets_in_only_itself() -> None:
    assert is_allowed(ipaddress.ip_address("127.0.0.1"), LOOPBACK)
    assert is_allowed(ipaddress.ip_address("::ffff:127.0.0.1"), LOOPBACK)
    assert not is_allowed(ipaddress.ip_address("127.0.0.2"), LOOPBACK)
    assert not is_allowed(ipaddress.ip_address("::1"), LOOPBACK)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/v.mp4", "http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/",
        "http://127.1/", "http://127.0.0.1./", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
        "http://good.example@127.0.0.1/", "http://[fe80::1%25eth0]/", "file:///etc/passwd",
        "ftp://example.com/v.mp4", "data:text/plain,x", "//example.com/v.mp4", "http:///v.mp4", "http://[::1/",
        "http://a.example\\@127.0.0.1/", "http://a.example:0/v.mp4",
    ],
)  # fmt: skip
def test_a_url_out_of_bounds_is_refused_before_any_work(url: str) -> None:
    with pytest.raises(SourceRefused):
        check_url(url, [])


def test_the_refusal_names_host_address_and_setting() -> None:
    with pytest.raises(SourceRefused) as caught:
        check_url("http://2130706433/v.mp4", [])
    assert "2130706433" in caught.value.message
    assert "127.0.0.1" in caught.value.message
    assert "INGESTCTL_SOURCE_ALLOW_NETWORKS" in caught.value.hint


def test_an_allowed_literal_and_a_name_pass_the_check() -> None:
    check_url("http://127.0.0.1:8080/v.mp4", LOOPBACK)
    check_url("https://example.com/v.mp4", [])


@pytest.fixture
def listening() -> socket.socket:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))
        server.listen(8)
        server.settimeout(0.2)
        yield server


def _port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_connecting_is_judged_by_the_address_really_used(listening: socket.socket) -> None:
    with guarded(LOOPBACK) as guard:
        socket.create_connection(("localhost", _port(listening)), 1).close()
        with pytest.raises(SourceRefused):
            socket.create_connection(("127.0.0.2", _port(listening)), 1)
    assert guard.refusal is not None
    listening.accept()[0].close()
    with pytest.raises(TimeoutError):  # the refused connect never reached the server
        listening.accept()


def test_after_a_refusal_nothing_may_connect_any_more(listening: socket.socket) -> None:
    with guarded(LOOPBACK):
        with pytest.raises(SourceRefused):
            socket.create_connection(("127.0.0.2", _port(listening)), 1)
        with pytest.raises(SourceRefused):
            socket.create_connection(("127.0.0.1", _port(listening)), 1)


def test_other_threads_are_left_alone_and_child_threads_are_not(listening: socket.socket) -> None:
    results: dict[str, object] = {}
    armed, done = threading.Event(), threading.Event()

    def connect(name: str) -> None:
        try:
            socket.create_connection(("127.0.0.2", _port(listening)), 1).close()
            results[name] = "connected"
        except SourceRefused:
            results[name] = "refused"

    def other() -> None:
        armed.wait(5)
        connect("other")
        done.set()

    outsider = threading.Thread(target=other)
    outsider.start()
    with guarded(LOOPBACK):
        armed.set()
        done.wait(5)
        child = threading.Thread(target=connect, args=("child",))
        child.start()
        child.join(5)
    outsider.join(5)
    connect("afterwards")
    assert results == {"other": "connected", "child": "refused", "afterwards": "connected"}


def test_unix_sockets_and_unresolved_names_are_refused(tmp_path: object, listening: socket.socket) -> None:
    with guarded(LOOPBACK), socket.socket(socket.AF_UNIX) as unix, pytest.raises(SourceRefused):
        unix.connect(f"{tmp_path}/socket")
    with guarded(LOOPBACK), socket.socket() as plain, pytest.raises(SourceRefused):
        plain.connect(("localhost", _port(listening)))
    with guarded(LOOPBACK), socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(SourceRefused):
        udp.sendto(b"x", ("127.0.0.2", 9))


def test_abort_wakes_a_blocked_read_and_forbids_more(listening: socket.socket) -> None:
    with guarded(LOOPBACK) as guard:
        with socket.create_connection(("127.0.0.1", _port(listening)), 10) as client:
            threading.Timer(0.1, guard.abort, (Interrupted("stop"),)).start()
            assert client.recv(1) == b""
        with pytest.raises(Interrupted):
            socket.create_connection(("127.0.0.1", _port(listening)), 1)


def test_abort_never_touches_a_descriptor_that_was_used_again(listening: socket.socket) -> None:
    guard = guarded(LOOPBACK)
    with guard:
        socket.create_connection(("127.0.0.1", _port(listening)), 1).close()
    with socket.create_connection(("127.0.0.1", _port(listening)), 1) as later:  # takes the same descriptor
        guard.abort(Interrupted("stop"))
        later.settimeout(0.1)
        with pytest.raises(TimeoutError):
            later.recv(1)
