"""Which machines a web address may lead to: a redirect must not open what the user did not name."""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from typing import Literal

from actcli.errors import VideoError
from actcli.remote.retrying import TransientError

Reach = Literal["public", "private", "loopback", "link-local"]
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def reach_of(address: str) -> Reach:
    """Who can be reached at an address: anyone, this network, this machine, or a cloud's own."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return reach_of(str(inner))
    if ip.is_link_local:
        return "link-local"
    if ip.is_loopback or ip.is_unspecified:
        return "loopback"
    return "public" if ip.is_global and not ip.is_multicast else "private"


def resolve(host: str, port: int) -> tuple[str, Reach]:
    """The address of a host, and whom it belongs to.

    Raises VideoError if there is no such host, TransientError if nobody can tell now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise TransientError(f"the name {host} can't be looked up now") from error
        raise VideoError(
            "remote", f"no such host ({host})", hint="check the name, and the network"
        ) from error
    except (UnicodeError, ValueError) as error:
        raise VideoError("remote", "no such host (the name can't be looked up)") from error
    address = str(found[0][4][0])
    return address, reach_of(address)


class PinnedConnection(http.client.HTTPConnection):
    """A connection to an address that was looked up and checked before.

    context: of TLS, for https
    """

    def __init__(
        self, host: str, port: int, address: str, timeout_s: float, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._address, self._context = address, context
        if context is not None:
            self.default_port = 443
        self.socket: socket.socket | None = None
        """Stays known after the response has taken it."""

    def connect(self) -> None:
        """Connect to the address; the name is for the server and for its certificate."""
        plain = socket.create_connection((self._address, self.port), self.timeout)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = plain
        if self._context is not None:
            self.sock = self._context.wrap_socket(plain, server_hostname=self.host)
        self.socket = self.sock
