"""The real kernel's side: three namespaces as `plan.py` draws them, rules loaded by the real tools, connections tried
with real sockets.

Next hops are fixed neighbours, so there is no ARP and no neighbour discovery to wait for. A packet crosses all three
namespaces before the call that sends it returns; `SILENCE_MS` is what a refusal or an answer is given nevertheless
before it counts as silence, and the counters of the rules have to say the same.
"""

import select
import socket
import struct
from contextlib import ExitStack, closing, suppress

from referee import sctp
from referee.backends import Backend
from referee.namespaces import RealNamespace
from referee.place import Place
from referee.plan import DEVICES, NODE, OUTSIDE, PODS, Plan, Request
from referee.seen import ANSWERED, REFUSED, SILENCE, Seen, counting, endpoint, refusal

from netsim.wire.rewrite import read_flow

SILENCE_MS = 120
_ANSWER_MS = 5000  # something has arrived, so the rest is a matter of a slow machine only
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a RST, no TIME_WAIT
_GATEWAY = {4: "169.254.0.1", 6: "fe80::1"}
_ANY = {4: "0.0.0.0/0", 6: "::/0"}
_MACS = {
    "pod0": "02:00:00:00:01:01",
    "eth0": "02:00:00:00:02:01",
    PODS: "02:00:00:00:01:02",
    OUTSIDE: "02:00:00:00:02:02",
}
_EVERYWHERE_V4 = {
    "all__rp_filter": 0,
    "default__rp_filter": 0,
    "all__send_redirects": 0,
    "default__send_redirects": 0,
}
_EVERYWHERE_V6 = {"default__accept_dad": 0, "default__router_solicitations": 0, "all__disable_ipv6": 0}


class RealNode:
    """The network of a plan, in the real kernel. To be closed, which takes it away again."""

    def __init__(self, plan: Plan, backend: Backend) -> None:
        self.plan = plan
        self.backend = backend
        self._stack = ExitStack()
        self.ns = {role: self._stack.enter_context(RealNamespace(role)) for role in (NODE, PODS, OUTSIDE)}
        try:
            self._build()
            self.places = {role: self._place(role) for role in self.ns}
        except BaseException:
            self._stack.close()
            raise

    # ------------------------------------------------------------------ the network
    def _build(self) -> None:
        for ns in self.ns.values():
            v4 = {f"ipv4__conf__{key}": value for key, value in _EVERYWHERE_V4.items()}
            v6 = {f"ipv6__conf__{key}": value for key, value in _EVERYWHERE_V6.items()}
            ns.sysctl(**v4, **v6)
        node = self.ns[NODE]
        # ICMP errors are not rationed, as in the simulator.
        node.sysctl(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
        node.sysctl(ipv4__ip_forward=1, ipv4__conf__all__route_localnet=int(self.plan.localnet))
        for role, device in DEVICES.items():
            self._cable(device.name, role)
        family = self.plan.family
        nodad = "" if family == 4 else " nodad"
        addresses = [f"address add {a} dev lo{nodad}" for a in self.plan.node]
        addresses += [f"address add {d.address(family)} dev {d.name}{nodad}" for d in DEVICES.values()]
        gateway = _GATEWAY[family]
        pods = [f"route add {a} via {gateway} dev pod0 onlink" for a in sorted(self.plan.pods)]
        node.ip(family, *addresses, *pods, f"route add default via {gateway} dev eth0 onlink")
        node.sysctl(ipv6__conf__all__forwarding=1)

    def _cable(self, device: str, role: str) -> None:
        """A veth pair between the node's device and `up0` of another place, where every address is local."""
        node, other, family = self.ns[NODE], self.ns[role], self.plan.family
        gateway, mine, theirs = _GATEWAY[family], _MACS[device], _MACS[role]
        node.ip(
            family,
            "link set lo up",
            f"link add {device} address {mine} type veth peer name up0 address {theirs} netns {other.name}",
            f"link set {device} up",
            f"neigh add {gateway} lladdr {theirs} dev {device} nud permanent",
        )
        other.ip(
            family,
            "link set lo up",
            "link set up0 up",
            f"neigh add {gateway} lladdr {mine} dev up0 nud permanent",
            f"route add default via {gateway} dev up0 onlink",
            f"route add local {_ANY[family]} dev lo table 100",
            "rule add iif up0 lookup 100",
        )

    def _place(self, role: str) -> Place:
        place = Place(role, self.ns[role], self.plan.family, "lo" if role == NODE else "up0")
        self._stack.callback(place.close)
        place.serve(self.plan.ports)
        return place

    def close(self) -> None:
        """Remove the namespaces."""
        self._stack.close()

    # ------------------------------------------------------------------ connections
    def send(self, request: Request, counted: bool = False) -> Seen:
        """Try one connection; `counted`: look at the rules' counters too."""
        for place in self.places.values():
            place.forget()
        place = self.places[self.plan.place(request.source)]
        before = self.backend.counts(self.ns[NODE]) if counted else None
        with closing(place.open(request.protocol, request.source)) as client:
            way = self._tcp if request.protocol == "TCP" else self._datagram
            seen = way(place, client, request)
        return counting(seen, before, self.backend.counts(self.ns[NODE]) if counted else None)

    def forget_clients(self) -> None:
        """Session affinity begins anew."""
        self.backend.forget_clients(self.ns[NODE])

    def _tcp(self, place: Place, client: socket.socket, request: Request) -> Seen:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        client.connect_ex((request.destination, request.port))
        waiter = select.poll()
        waiter.register(client, select.POLLOUT)
        if not waiter.poll(SILENCE_MS):
            # A socket that is busy connecting takes note of an ICMP error only at its next try, a second later.
            told = self._refusal(place)
            return Seen(REFUSED, refusal=told) if told else self._nothing()
        if client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return Seen(REFUSED, refusal=self._refusal(place))
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
        with suppress(
            PermissionError
        ):  # what OUTPUT drops is told to the sender; the ICMP error comes besides
            client.send(b"hello" if request.protocol == "UDP" else sctp.init(request.port))
        found = self._ready(request.protocol, SILENCE_MS, client)
        if found is None:
            return self._nothing()
        if found is client:
            return Seen(REFUSED, refusal=self._refusal(place))
        there, server = found
        arrival = there.receive(server)
        port, answer = server.getsockname()[1], arrival.data
        if request.protocol == "SCTP":
            port, answer = sctp.answer(arrival.data)
        there.answer(server, arrival, answer)
        assert self._ready("none", _ANSWER_MS, client) is client
        assert client.recv(100).endswith(answer)
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

    def _refusal(self, place: Place) -> str:
        """What the client was told. What the node tells itself comes from itself: that is left out."""
        told = next(filter(None, map(refusal, place.heard())), "")
        return told.split(", by ")[0] if place.name == NODE else told

    def _nothing(self) -> Seen:
        """Silence, if really nothing came anywhere."""
        found = [str(read_flow(p)) for place in self.places.values() for p in place.heard()]
        return Seen(SILENCE, refusal=", ".join(found))
