"""One place of the real network: servers that answer on every port that matters, whatever address was meant, and a
sniffer. Sockets are transparent (ip(7), IP_TRANSPARENT), so that they may use addresses that are not the place's own.
"""

import errno
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from referee.namespaces import RealNamespace

from netsim.wire.rewrite import read_flow

SOCK_TYPES = {"TCP": (socket.SOCK_STREAM, 0), "UDP": (socket.SOCK_DGRAM, 0), "SCTP": (socket.SOCK_RAW, 132)}
# include/uapi/linux/in.h and in6.h; the module socket does not have all of them.
IP_TRANSPARENT, IPV6_TRANSPARENT, IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 19, 75, 8, 49, 50
IP_MTU_DISCOVER, IP_PMTUDISC_DO = 10, 2
_ETH_P_ALL = 3
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """A datagram at a server: from where, to which address."""

    data: bytes
    source: str
    sport: int
    destination: str


class Place:
    """A namespace with its servers, of one address family. `device` is the one that is listened on."""

    def __init__(self, name: str, ns: RealNamespace, family: int, device: str) -> None:
        self.name = name
        self.ns = ns
        self.family = socket.AF_INET6 if family == 6 else socket.AF_INET
        self.servers: list[tuple[str, int, socket.socket]] = []
        with ns.entered():
            self.sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_ALL))
        self.sniffer.bind((device, _ETH_P_ALL))
        self.sniffer.setblocking(False)

    def serve(self, ports: Iterable[tuple[str, int]]) -> None:
        """Answer on these (protocol, port) and no others. SCTP has one raw socket for all ports."""
        self._stop()
        for protocol, port in sorted(ports):
            number = 0 if protocol == "SCTP" else port
            if any(known[:2] == (protocol, number) for known in self.servers):
                continue
            server = self.open(protocol, "", number)
            if protocol == "TCP":
                server.listen(_BACKLOG)
            self.servers.append((protocol, number, server))

    def open(self, protocol: str, address: str, port: int = 0) -> socket.socket:
        """A socket of this place, bound to any address, be it the place's own or not."""
        kind, number = SOCK_TYPES[protocol]
        with self.ns.entered():
            made = socket.socket(self.family, kind, number)
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if self.family == socket.AF_INET6:
            if kind != socket.SOCK_RAW:
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
            made.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
        else:
            made.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)
            made.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        made.bind((address, port))
        return made

    def prepare(self, client: socket.socket, ttl: int) -> None:
        """For a datagram: time to live, and no fragments."""
        if self.family == socket.AF_INET6:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        else:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
            client.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)

    def heard(self) -> Iterator[bytes]:
        """IP packets that came in since the last time."""
        while True:
            try:
                data, (_, kind, direction, *_) = self.sniffer.recvfrom(65535)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENETDOWN:
                    raise
                continue
            if direction == socket.PACKET_HOST and kind in (0x0800, 0x86DD):
                yield data

    def forget(self) -> None:
        """Throw away what has come in so far."""
        for _ in self.heard():
            pass
        for protocol, _, server in self.servers:
            with suppress(BlockingIOError):
                while protocol != "TCP":
                    server.recv(65535)

    def receive(self, server: socket.socket) -> Arrival:
        """The next datagram of a server."""
        data, notes, _, (source, sport, *_) = server.recvmsg(65535, 256)
        if server.type == socket.SOCK_RAW and self.family == socket.AF_INET:
            data = data[(data[0] & 15) * 4 :]  # a raw IPv4 socket has the header too
        for _, kind, note in notes:
            if kind == IP_PKTINFO and self.family == socket.AF_INET:
                return Arrival(data, source, sport, socket.inet_ntop(self.family, note[8:12]))
            if kind == IPV6_PKTINFO:
                return Arrival(data, source, sport, socket.inet_ntop(self.family, note[:16]))
        raise AssertionError("no IP_PKTINFO")

    def inject(self, packet: bytes) -> None:
        """Send an IP packet as it is."""
        with self.ns.entered(), socket.socket(self.family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            flow = read_flow(packet)
            raw.sendto(packet, (socket.inet_ntop(self.family, flow.dst), 0))

    def answer(self, server: socket.socket, arrival: Arrival, data: bytes) -> None:
        """Send a datagram back from the address that was meant."""
        address = socket.inet_pton(self.family, arrival.destination)
        if self.family == socket.AF_INET:
            level, kind, note = socket.IPPROTO_IP, IP_PKTINFO, struct.pack("=i4s4s", 0, address, b"\0" * 4)
        else:
            level, kind, note = socket.IPPROTO_IPV6, IPV6_PKTINFO, struct.pack("=16si", address, 0)
        server.sendmsg([data], [(level, kind, note)], 0, (arrival.source, arrival.sport))

    def close(self) -> None:
        """Close all sockets."""
        self._stop()
        self.sniffer.close()

    def _stop(self) -> None:
        for _, _, server in self.servers:
            server.close()
        self.servers.clear()
