"""Real sockets over the whole fabric: connections through a Service, their failures, and both paths giving the same."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlab import Lab, Service, filter
from tcplab import Recorder

from netsim.engine import MS, US, S
from netsim.fabric.capture import Capture
from netsim.fabric.host import Host
from netsim.fabric.link import Netem
from netsim.kernel.conntrack_tcp import TcpState
from netsim.kernel.hooks import DropReason
from netsim.wire.addr import ip, ip_text

VIP = "10.96.0.10"


class Talk:
    """Three pods on two nodes, an outside host, a TCP Service with two backends; every request gets its echo."""

    def __init__(self, follow: bool = False, seed: int = 1) -> None:
        self.lab = Lab(nodes=2, seed=seed, follow=follow, real=True)
        self.client, self.near, self.far = self.lab.pod(1, 5), self.lab.pod(1, 6), self.lab.pod(2, 7)
        self.laptop = self.lab.outside()
        self.lab.serve(
            Service(VIP, 80, [("10.244.1.6", 8080), ("10.244.2.7", 8080)], "tcp"),
            Service(VIP, 53, [("10.244.2.7", 5353)], "udp"),
            Service("10.96.0.20", 80, [], "tcp"),
        )
        self.served: list[tuple[str, str]] = []
        for pod in (self.near, self.far):
            pod.ns.sockets.listen(8080, self.acceptor(pod), owner=self)

    def acceptor(self, pod: Host) -> Callable[..., Recorder]:
        def accept(conn: Any, now: int) -> Recorder:
            self.served.append((pod.name, ip_text(conn.flow.dst)))
            handler = Recorder()
            handler.on_data = lambda conn, data, now: conn.send(data, now)
            handler.on_end = lambda conn, now: conn.close(now)
            return handler

        return accept

    def connect(self, host: Host, target: str = VIP, port: int = 80, data: bytes = b"hello") -> Recorder:
        """Connect, send, and close when the echo is complete."""
        handler = Recorder()
        handler.on_connected = lambda conn, now: conn.send(data, now)
        handler.on_data = lambda conn, got, now: conn.close(now) if len(handler.data) == len(data) else None
        host.ns.sockets.connect(ip(target), port, handler, self.lab.engine.now)
        return handler

    def run(self, for_ns: int = S) -> None:
        self.lab.run(for_ns)
        self.lab.check_books()


@pytest.fixture
def talk() -> Talk:
    return Talk()


# ---------------------------------------------------------------- success
@pytest.mark.parametrize("size", [5, 1460, 100_000])
@pytest.mark.parametrize("source", ["p1-5", "p1-6", "p2-7", "n1", "n2"])
def test_a_connection_through_a_service(talk: Talk, source: str, size: int) -> None:
    host = {**talk.lab.fabric.pods, **talk.lab.fabric.nodes}[source]
    handler = talk.connect(host, data=bytes(size))
    talk.run()
    assert handler.events[0] == "connected"
    assert handler.events[-1] == "closed"
    assert handler.data == bytes(size)
    ((server, seen),) = talk.served
    hairpin = server == source
    assert seen == (
        ip_text(talk.lab.fabric.nodes[f"n{source[1]}"].address) if hairpin else ip_text(host.address)
    )
    assert talk.lab.fabric.drops().total() == 0


def test_connections_spread_over_the_backends(talk: Talk) -> None:
    for _ in range(100):
        talk.connect(talk.client)
        talk.run(10 * MS)
    counts = [sum(server == name for server, _ in talk.served) for name in ("p1-6", "p2-7")]
    assert sum(counts) == 100
    assert min(counts) > 30


def test_conntrack_follows_to_time_wait(talk: Talk) -> None:
    talk.connect(talk.client)
    talk.run()
    conntrack = talk.lab.nodes[0].ns.conntrack
    assert conntrack is not None
    entries = [entry for entry in conntrack.entries(talk.lab.engine.now) if entry.nat]
    assert [(TcpState(entry.state).name, entry.assured) for entry in entries] == [("TIME_WAIT", True)]


def test_a_datagram_through_a_service(talk: Talk) -> None:
    got: list[Any] = []
    talk.far.ns.sockets.open_udp(
        lambda sock, data, src, sport, now: sock.send(data * 2, src, sport, now), 5353
    )
    sock = talk.client.ns.sockets.open_udp(
        lambda _s, data, src, sport, now: got.append((data, ip_text(src), sport))
    )
    assert sock.send(b"ab", ip(VIP), 53, talk.lab.engine.now) is None
    talk.run()
    assert got == [(b"abab", VIP, 53)]


def test_ping_by_a_socket(talk: Talk) -> None:
    answers: list[Any] = []
    sock = talk.client.ns.sockets.open_icmp(lambda _s, reply, error, now: answers.append((reply.ttl, error)))
    sock.send(ip("10.244.2.7"), 1, b"x" * 56, talk.lab.engine.now)
    sock.send(ip(VIP), 2, b"x" * 56, talk.lab.engine.now)
    talk.run(5 * S)
    assert answers == [(62, None)]  # from 64: two routers on the way; the ClusterIP keeps silent


# ---------------------------------------------------------------- failure
def test_a_closed_port_refuses(talk: Talk) -> None:
    handler = talk.connect(talk.client, "10.244.2.7", 81)
    talk.run()
    assert handler.events == ["ECONNREFUSED"]


def test_the_wrong_port_of_a_service_hangs(talk: Talk) -> None:
    """No rule matches, so the packet leaves for the ClusterIP, which nobody has."""
    handler = talk.connect(talk.client, VIP, 81)
    talk.run(60 * S)
    assert handler.events == []
    talk.run(100 * S)
    assert handler.events == ["ETIMEDOUT"]


def test_a_service_without_endpoints_refuses(talk: Talk) -> None:
    """kube-proxy's REJECT, in FORWARD for pods and in OUTPUT for the node itself."""
    reject = "-d 10.96.0.20 -p tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable"
    talk.lab.rules(filter(f"-A FORWARD {reject}\n-A OUTPUT {reject}"))
    for host in (talk.client, talk.lab.nodes[0]):
        handler = talk.connect(host, "10.96.0.20")
        talk.run()
        assert handler.events == ["ECONNREFUSED"]


def test_nobody_at_the_address_of_a_neighbour(talk: Talk) -> None:
    """Host unreachable after three unanswered ARP requests: at once for the node, by ICMP for a pod behind it."""
    handlers = [talk.connect(host, "172.18.0.99") for host in (talk.lab.nodes[0], talk.client)]
    talk.run(20 * S)
    for handler in handlers:
        assert handler.events == ["EHOSTUNREACH"]
        assert 3 * S <= handler.at[handler.events[0]] < 3 * S + 10 * MS


def test_a_removed_backend_is_silence_until_the_rules_change(talk: Talk) -> None:
    talk.lab.serve(Service(VIP, 80, [("10.244.2.7", 8080)], "tcp"))
    talk.lab.fabric.remove_pod(talk.far)
    handler = talk.connect(talk.client)
    talk.run(10 * S)
    assert handler.events == []
    assert talk.lab.fabric.drops()["n2", "FORWARD", DropReason.IP_BLACKHOLE] > 3
    talk.lab.serve(Service(VIP, 80, [("10.244.1.6", 8080)], "tcp"))
    other = talk.connect(talk.client)
    talk.run(10 * S)
    assert other.events[-1] == "closed"
    assert handler.events == []  # its entry pins it to the dead pod


def test_a_connection_to_a_crashed_node_times_out(talk: Talk) -> None:
    handler = talk.connect(talk.client, "10.244.2.7", 8080, data=b"x" * 50_000)
    talk.run(1 * MS)
    talk.lab.fabric.crash_node("n2")
    talk.run(30 * S)
    assert "closed" not in handler.events
    assert not any(event.startswith("E") for event in handler.events[:1])


def test_a_process_that_dies_closes_its_connections(talk: Talk) -> None:
    """SIGKILL: the kernel sends FIN, and a new connection is refused."""
    handler = Recorder()
    talk.client.ns.sockets.connect(ip("10.244.1.6"), 8080, handler, 0)
    talk.run()
    talk.near.ns.sockets.close_all(talk, talk.lab.engine.now)
    again = talk.connect(talk.client, "10.244.1.6", 8080)
    talk.run()
    assert again.events == ["ECONNREFUSED"]


# ---------------------------------------------------------------- both paths, under trouble
troubles = st.lists(
    st.tuples(
        st.sampled_from(["connect", "connect", "connect", "netem", "cable", "rules", "remove"]),
        st.integers(0, 7),
        st.sampled_from([100 * US, 3 * MS, 250 * MS, 2 * S]),
    ),
    max_size=12,
)
NETEMS = [
    Netem(loss=0.2),
    Netem(delay_ns=MS, jitter_ns=MS),
    Netem(duplicate=0.3),
    Netem(rate_bps=10**6),
    None,
]


def run_troubles(script: list[tuple[str, int, int]], seed: int, follow: bool) -> tuple[Any, ...]:
    talk = Talk(follow, seed)
    capture, handlers = Capture(), []
    cables = list(talk.lab.fabric.cables.values())
    for cable in cables:
        capture.attach(cable)
    sources: list[Host] = [talk.client, talk.near, talk.far, *talk.lab.nodes]
    for what, which, wait in script:
        if what == "connect":
            source = sources[which % len(sources)]
            if source.alive:
                handlers.append(talk.connect(source, data=bytes(300 * which)))
        elif what == "netem":
            talk.lab.fabric.set_netem(cables[which % len(cables)], NETEMS[which % len(NETEMS)])
        elif what == "cable":
            cable = cables[which % len(cables)]
            talk.lab.fabric.set_cable(cable, up=not cable.there.up)
        elif what == "rules":
            backend = ("10.244.1.6" if which % 2 else "10.244.2.7", 8080)
            talk.lab.serve(Service(VIP, 80, [backend], "tcp"))
        elif which < 2:
            talk.lab.fabric.remove_pod((talk.near, talk.far)[which])
        talk.run(wait)
    talk.run(20 * S)
    frames = [(hop.at_ns, hop.link.name, hop.uid, hop.packet().to_bytes()) for hop in capture]
    return (
        frames,
        [(handler.events, handler.at, handler.data) for handler in handlers],
        talk.lab.fabric.drops(),
    )


@settings(max_examples=25)
@given(troubles, st.integers(0, 3))
def test_real_connections_are_the_same_by_both_paths(script: list[tuple[str, int, int]], seed: int) -> None:
    assert run_troubles(script, seed, follow=False) == run_troubles(script, seed, follow=True)
