"""Keeps a source's URL from reaching our own network.

A name can resolve to one address when it is checked and to another when it is used, and redirects
and playlists name further hosts. So the address is judged where it cannot lie: at ``connect``,
through CPython's ``socket.connect`` audit event, which sees the address really used and aborts the
call by raising. It is armed per thread (and for threads those start), so that the database and
storage clients of other threads never notice it.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingestctl.domain.errors import IngestError, SourceRefused

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SETTING = "INGESTCTL_SOURCE_ALLOW_NETWORKS"
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_OLD_COMPATIBLE = ipaddress.IPv6Network("::/96")
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# In IANA's special-purpose registries; which of them ipaddress knows depends on Python's patch release.
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "3fff::/20")
)


def is_allowed(address: Address, networks: Iterable[Network]) -> bool:
    """Whether a source may live at ``address``: public, or inside one of ``networks``."""
    address = _unwrapped(address)
    if any(address.version == network.version and address in network for network in networks):
        return True
    if any(address.version == network.version and address in network for network in _SPECIAL):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if _carries_ipv4(address):
            return False
        return address in _GLOBAL_UNICAST and address.is_global and not address.is_multicast
    return address.is_global and not address.is_multicast and not address.is_reserved


def _unwrapped(address: Address) -> Address:
    """An IPv4-mapped IPv6 address reaches the IPv4 one: judge that."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _carries_ipv4(address: ipaddress.IPv6Address) -> bool:
    """Tunnels and translators (6to4, NAT64, Teredo, IPv4-compatible): where they lead is not ours to know."""
    return any(address in net for net in (*_NAT64, _SIX_TO_FOUR, _TEREDO, _OLD_COMPATIBLE))


def check_url(url: str, networks: Iterable[Network]) -> None:
    """Refuse, before any work, what the URL alone shows to be out of bounds. Raises SourceRefused.

    Only http and https; a host that is an address (also written in decimal, octal, hexadecimal or
    short forms, as inet_aton(3) reads them) must be allowed. Names are judged when connected to.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceRefused(f"The source URL {_shown(url)!r} is not a URL: {error}") from None
    if parts.scheme.lower() not in ("http", "https"):
        scheme = parts.scheme[:20] or "(none)"
        raise SourceRefused(f"The source URL's scheme is {scheme!r}; only http and https are fetched")
    if not host:
        raise SourceRefused(f"The source URL {_shown(url)!r} names no host")
    if port == 0:
        raise SourceRefused(f"The source URL {_shown(url)!r} names port 0, where nobody can listen")
    if "\\" in parts.netloc or any(c.isspace() or ord(c) < 0x20 for c in parts.netloc):
        raise SourceRefused(f"The source URL {_shown(url)!r} has a malformed host")
    address = _literal(host)
    if address is not None and not is_allowed(address, networks):
        raise _refusal(host, address)


def _literal(host: str) -> Address | None:
    bare = host.partition("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare))
    except (OSError, ValueError, UnicodeEncodeError):
        return None


def _refusal(host: str, address: Address) -> SourceRefused:
    named = str(address) if host == str(address) else f"{host} is {address}, which"
    return SourceRefused(
        f"The source is not at a public address: {named} is not allowed",
        hint=f"If it may be fetched, add {address}/{address.max_prefixlen} or its network to {SETTING}.",
        evidence=f"refused to connect to {address}",
    )


def _shown(url: str) -> str:
    return url.split("?", 1)[0][:120]


class Guard:
    """What one fetch may connect to. Enter it in the thread that fetches.

    ``refusal`` keeps the first refusal, because libraries between here and the caller wrap or
    swallow what is raised. After it, and after :meth:`abort`, every further connect is refused.
    """

    def __init__(self, networks: Iterable[Network]) -> None:
        self._networks = tuple(networks)
        self._sockets: dict[int, int] = {}
        self._error: IngestError | None = None
        self.refusal: SourceRefused | None = None

    def __enter__(self) -> Guard:
        _install()
        _GUARDS[threading.current_thread()] = self
        return self

    def __exit__(self, *_: object) -> None:
        _GUARDS.pop(threading.current_thread(), None)

    def connecting(self, sock: Any, where: Any) -> None:
        """Judge one connect. Raises SourceRefused, or what the fetch was aborted with."""
        if self._error is not None:
            raise self._error
        if not (isinstance(where, tuple) and len(where) >= 2 and isinstance(where[0], str)):
            self._refuse(SourceRefused(f"A source may not open {str(where)[:80]!r}"))
        try:
            address = ipaddress.ip_address(where[0].partition("%")[0])
        except ValueError:
            self._refuse(SourceRefused(f"A source may not connect to {where[0][:80]!r} without resolving it"))
        if not is_allowed(address, self._networks):
            self._refuse(_refusal(where[0], address))
        self._remember(sock)

    def _refuse(self, refusal: SourceRefused) -> None:
        self.refusal = self.refusal or refusal
        self._error = self.refusal
        raise self.refusal

    def _remember(self, sock: Any) -> None:
        try:
            self._sockets[sock.fileno()] = os.fstat(sock.fileno()).st_ino
        except OSError:
            return

    def abort(self, error: IngestError) -> None:
        """Refuse every further connect with ``error`` and wake reads that block on open connections."""
        self._error = self._error or error
        for descriptor, inode in list(self._sockets.items()):
            _shut_down(descriptor, inode)


def _shut_down(descriptor: int, inode: int) -> None:
    """Shut the socket down if the descriptor is still the one that was connected.

    The duplicate is looked at, so that a descriptor closed and used again meanwhile is never touched.
    """
    try:
        duplicate = os.dup(descriptor)
    except OSError:
        return
    try:
        if not inode or os.fstat(duplicate).st_ino != inode:
            return
        with socket.socket(fileno=os.dup(duplicate)) as sock:
            sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
    finally:
        os.close(duplicate)


_GUARDS: weakref.WeakKeyDictionary[threading.Thread, Guard] = weakref.WeakKeyDictionary()
_installing = threading.Lock()
_installed = False


_start_thread = threading.Thread.start


def _install() -> None:
    """Add the audit hook, once for the process: hooks cannot be removed.

    Python 3.11 raises no audit event for new threads, so ``Thread.start`` is what hands a guard on.
    """
    global _installed
    with _installing:
        if not _installed:
            sys.addaudithook(_audit)
            threading.Thread.start = _start_guarded  # type: ignore[method-assign, assignment]
            _installed = True


def _start_guarded(thread: threading.Thread) -> None:
    guard = _GUARDS.get(threading.current_thread())
    if guard is not None:
        _GUARDS[thread] = guard
    _start_thread(thread)


_EVENTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if event not in _EVENTS or not _GUARDS:
        return
    guard = _GUARDS.get(threading.current_thread())
    if guard is not None and len(args) > 1 and args[1] is not None:
        guard.connecting(args[0], args[1])


def guarded(networks: Iterable[Network]) -> Guard:
    """A context that lets the calling thread connect to public addresses and ``networks`` only."""
    return Guard(networks)
