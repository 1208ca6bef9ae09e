"""The real kernel's side: connections tried with real sockets in the network of `network.py`.

A packet crosses all three namespaces before the call that sends it returns, but for a busy machine. Where silence is
expected it is therefore waited for during `SILENCE_MS` only; nothing may have been heard anywhere, and the counters of
the rules have to say the same.
"""

import errno
import select
import socket
import struct
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

from referee import sctp
from referee.backends import Backend
from referee.host import refuse
from referee.network import RealNetwork
from referee.place import Arrival, Place
from referee.plan import DEVICES, NODE, Plan, Request
from referee.seen import ANSWERED, REFUSED, SILENCE, Seen, counting, endpoint, refusal

from netsim.wire.rewrite import read_flow

SILENCE_MS = 80
_ANSWER_MS = 5000  # a matter of a slow machine only
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a RST, no TIME_WAIT


class RealNode:
    """A network arranged for a plan."""

    def __init__(self, network: RealNetwork, plan: Plan, backend: Backend) -> None:
        self.plan = plan
        self.backend = backend
        self.node = network.node
        self.places = network.places
        self._log: dict[str, list[bytes]] = {}
        self._closed: set[int] = set()
        self._patience_ms = _ANSWER_MS
        network.arrange(plan)

    def send(self, request: Request, counted: bool = False, silent: bool = False) -> Seen:
        """Try one connection; `counted`: look at the rules' counters too; `silent`: no answer is expected."""
        self._patience_ms = SILENCE_MS if silent else _ANSWER_MS
        self._log.clear()
        for place in self.places.values():
            place.forget()
        place = self.places[self.plan.place(request.source)]
        before = self.backend.counts(self.node) if counted else None
        with closing(place.open(request.protocol, request.source)) as client:
            way = self._tcp if request.protocol == "TCP" else self._datagram
            seen = way(place, client, request)
        return counting(seen, before, self.backend.counts(self.node) if counted else None)

    def forget_clients(self) -> None:
        """Session affinity begins anew."""
        self.backend.forget_clients(self.node)

    def close_port(self, protocol: str, port: int) -> None:
        """Nobody answers there any more."""
        self._closed.add(port)
        for place in self.places.values():
            place.serve(self.plan.ports - {(protocol, port)})

    def narrow(self, role: str, mtu: int) -> None:
        """The MTU of the node's device towards a place."""
        self.node.ip(self.plan.family, f"link set {DEVICES[role].name} mtu {mtu}")

    def datagram(self, role: str, port: int) -> Arrival:
        """The next datagram at a UDP server of a place."""
        found = self._ready("UDP", _ANSWER_MS)
        assert isinstance(found, tuple)
        place, server = found
        assert (place.name, server.getsockname()[1]) == (role, port)
        return place.receive(server)

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        select.poll().poll(seconds * 1000)

    def remembered(self, recent_list: str, clients: Iterable[str]) -> set[str]:
        """Which clients are in a list of xt_recent."""
        with self.node.entered():
            text = Path("/proc/thread-self/net/xt_recent", recent_list).read_text(encoding="ascii")
        return {
            client
            for client in clients
            if f"src={IPv6Address(client).exploded if ':' in client else client} " in text
        }

    def _tcp(self, place: Place, client: socket.socket, request: Request) -> Seen:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.connect_ex((request.destination, request.port))
        self._refuse_closed()
        waiter = select.poll()
        waiter.register(client, select.POLLOUT)
        # A socket that is busy connecting takes note of an ICMP error only at its next try, a second later.
        told = "" if waiter.poll(0) else self._refusal(place)
        if not told and not waiter.poll(self._patience_ms):
            told = self._refusal(place)
            if not told:
                return self._nothing()
        if told or client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return Seen(REFUSED, refusal=told or self._refusal(place))
        found = self._ready("TCP", _ANSWER_MS)
        assert isinstance(found, tuple), "connected, but to none of our servers"
        there, server = found
        connection, (source, *_) = server.accept()
        with closing(connection):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            address, port, *_ = connection.getsockname()
            connection.sendall(b"hello")
            waiter.modify(client, select.POLLIN)
            assert waiter.poll(_ANSWER_MS)
            assert client.recv(10) == b"hello"
        return Seen(ANSWERED, there.name, endpoint(address, port), source)

    def _datagram(self, place: Place, client: socket.socket, request: Request) -> Seen:
        """UDP; and SCTP's INIT through a raw socket, since not every kernel has SCTP."""
        client.connect((request.destination, request.port if request.protocol == "UDP" else 0))
        place.prepare(client, request.ttl)
        said = ""
        try:
            client.send(request.payload if request.protocol == "UDP" else sctp.init(request.port))
        except OSError as error:
            said = errno.errorcode[error.errno or 0]
        self._refuse_closed()
        # Not every ICMP error is told to a socket that has not asked for all of them.
        told, found = self._refusal(place), None
        if not told:
            found = self._ready(request.protocol, self._patience_ms, client)
        if found is None or found is client:
            told = told or self._refusal(place)
            return Seen(REFUSED, refusal=told, errno=said) if told else replace(self._nothing(), errno=said)
        there, server = found
        arrival = there.receive(server)
        port, answer = server.getsockname()[1], arrival.data
        if request.protocol == "SCTP":
            port, answer = sctp.answer(arrival.data)
        there.answer(server, arrival, answer)
        assert self._ready("none", _ANSWER_MS, client) is client
        assert client.recv(65535).endswith(answer)
        return Seen(ANSWERED, there.name, endpoint(arrival.destination, port), arrival.source)

    def _ready(
        self, protocol: str, timeout_ms: int, client: socket.socket | None = None
    ) -> tuple[Place, socket.socket] | socket.socket | None:
        """The first of the servers of a protocol, or the client, that has something."""
        poll = select.poll()
        servers = {
            server.fileno(): (place, server)
            for place in self.places.values()
            for known, _, server in place.servers
            if known == protocol
        }
        for fd in servers:
            poll.register(fd, select.POLLIN)
        if client is not None:
            poll.register(client, select.POLLIN)
        for fd, _ in poll.poll(timeout_ms):
            return servers.get(fd, client)
        return None

    def _refuse_closed(self) -> None:
        """Let a place say that nobody listens, if something has come to a closed port."""
        for place in self.places.values() if self._closed else ():
            for packet in self._heard(place):
                if read_flow(packet).dport in self._closed:
                    place.inject(refuse(packet))

    def _heard(self, place: Place) -> list[bytes]:
        """What has come to a place since the connection was begun."""
        heard = self._log.setdefault(place.name, [])
        heard += place.heard()
        return heard

    def _refusal(self, place: Place) -> str:
        """What the client was told. What the node tells itself comes from itself: that is left out."""
        told = next(filter(None, map(refusal, self._heard(place))), "")
        return told.split(", by ")[0] if place.name == NODE else told

    def _nothing(self) -> Seen:
        """Silence, if really nothing came anywhere."""
        found = [str(read_flow(packet)) for place in self.places.values() for packet in self._heard(place)]
        return Seen(SILENCE, refusal=", ".join(found))
