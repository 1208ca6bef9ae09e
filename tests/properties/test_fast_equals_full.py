"""The remembered path and the full path give the same run, and the packet books close at any moment.

A followed namespace remembers no paths (and no walks through its rules), so the same script is run twice: plainly, and
with every namespace followed. Everything that can be observed must be equal: each frame on each link with its time,
each delivery byte for byte, each drop, conntrack, and the counters of the rules. Services are served by iptables, or by
kube-proxy's nftables rules with iptables beside them.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from netlab import Lab, NftServices, Service, filter, inbox, services, tcp, udp

from netsim.cni.bridge import BridgeCni
from netsim.cni.flat import FlatCni
from netsim.cni.vxlan import VxlanCni
from netsim.engine import MS, US, S
from netsim.fabric.capture import Capture
from netsim.fabric.host import Host
from netsim.fabric.link import Netem
from netsim.kernel import fastpath
from netsim.kernel.hooks import Hook
from netsim.kernel.nft_match import Address, CtState, L4Protocol, Port, SetMark
from netsim.kernel.nft_table import Base, Chain, Rule, TableId
from netsim.kernel.nft_transaction import Transaction, Write
from netsim.kernel.nft_verdict import ACCEPT, DROP, REJECT, RandomMap, final
from netsim.kernel.routing import Route, RouteKind
from netsim.kernel.targets import Dnat
from netsim.wire.addr import Prefix, ip, ip_text
from netsim.wire.packet import ACK, FIN, SYN, TCP, UDP, Packet, TcpSegment

FORWARD, EARLY = Base("filter", Hook.FORWARD, 0), Base("filter", Hook.PREROUTING, -110)
LATE = Base("filter", Hook.PREROUTING, -50)
NAT = Base("nat", Hook.PREROUTING, -90)


def lab_chain(*rules: Rule, base: Base = FORWARD) -> Transaction:
    """A table of ours beside kube-proxy's, with one base chain at a time and place."""
    chain = Chain(f"{base.type}-{base.hook.name.lower()}{base.priority}", rules, base)
    return Transaction(TableId("ip", "lab"), (Write(chain),))


CNIS = {"flat": FlatCni, "vxlan": VxlanCni, "bridge": BridgeCni}
DNS, WEB = "10.96.0.10", "10.96.0.20"
PODS = [(1, 5), (1, 6), (2, 7), (2, 8)]
HOSTS = ["p1-5", "p1-6", "p2-7", "p2-8", "n1", "n2", "laptop"]
TARGETS = [DNS, WEB, "10.244.1.5", "10.244.2.7", "10.244.2.99", "172.18.0.3", "203.0.113.10", "192.0.2.1"]
OTHER = "10.96.0.30"
SERVER_PORTS = {DNS: 53, WEB: 80, OTHER: 53}
FLAG_NAMES = ["S", ".", "F.", "R", "S."]

BASE_RULES = """
:KUBE-FORWARD - [0:0]
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
"""
RULE_CHANGES = [
    filter("-A FORWARD -d 10.244.2.7 -j DROP"),
    filter("-F FORWARD\n-A FORWARD -j KUBE-FORWARD"),
    filter("-I FORWARD -p udp --dport 8053 -j REJECT"),
    filter("-I FORWARD -m statistic --mode random --probability 0.5 -j DROP"),
    filter("-I FORWARD -j MARK --set-mark 0x1"),
    filter("-I FORWARD -m conntrack --ctstate DNAT -j ACCEPT"),
    services(Service(DNS, 53, [("10.244.2.8", 8053)])),
]
NFT_CHANGES = [
    lab_chain(Rule((Address("daddr", (Prefix.parse("10.244.2.7/32"),)),), DROP)),
    lab_chain(),
    lab_chain(Rule((Port(UDP, 8053),), REJECT)),
    lab_chain(Rule((), RandomMap((DROP, ACCEPT, ACCEPT)), counted=True)),
    lab_chain(Rule((SetMark(1),))),
    lab_chain(
        Rule((CtState(("ESTABLISHED",)),), ACCEPT, counted=True), Rule((Port(TCP, 8080),), counted=True)
    ),
    lab_chain(Rule((Address("daddr", (Prefix.parse(f"{DNS}/32"),)),), counted=True), base=EARLY),
    lab_chain(Rule((L4Protocol(TCP),), ACCEPT, counted=True), base=EARLY),
    lab_chain(Rule((Address("daddr", (Prefix.parse("10.244.2.7/32"),)),), counted=True), base=LATE),
    lab_chain(Rule((Port(UDP, 53),), final(Dnat(ip("10.244.1.6"), 8053))), base=NAT),
]
NETEMS = [
    Netem(delay_ns=5 * MS, jitter_ns=3 * MS),
    Netem(loss=0.3),
    Netem(duplicate=0.4),
    Netem(delay_ns=MS, reorder=0.3, corrupt=0.1),
    Netem(rate_bps=10**6),
    None,
]


class Send(NamedTuple):
    """A packet from a host; its server, if it reaches one, answers."""

    host: str
    target: str
    sport: int
    flags: str  # "" is a UDP datagram
    size: int
    ttl: int


class Change(NamedTuple):
    """Something happens to the network."""

    what: str
    which: int


sends = st.builds(
    Send,
    st.sampled_from(HOSTS),
    st.sampled_from(TARGETS),
    st.sampled_from([4000, 4001]),
    st.sampled_from(["", "", "", *FLAG_NAMES]),
    st.sampled_from([4, 100, 1472]),
    st.sampled_from([64, 64, 64, 64, 1, 2, 3]),
)
repeats = st.builds(lambda send, times: [send] * times, sends, st.integers(1, 4))
changes = st.builds(
    Change,
    st.sampled_from(["rules", "route", "netem", "cable", "delete", "mtu", "crash", "gone"]),
    st.integers(0, 30),
)
waits = st.sampled_from([0, 3 * US, 40 * US, 300 * US, 2 * MS, 700 * MS, 3 * S, 40 * S, 301 * S])
scripts = st.lists(st.tuples(st.one_of(repeats, repeats, repeats, changes), waits), min_size=1, max_size=25)


class Run:
    """One execution of a script. `mode` says what serves the Services; `affinity` is their clients' (nftables)."""

    def __init__(
        self, follow: bool, seed: int = 1, mode: str = "iptables", affinity: int = 0, network: str = "flat"
    ) -> None:
        self.mode = mode
        self.lab = Lab(nodes=2, seed=seed, follow=follow, cni=CNIS[network]())
        for node, number in PODS:
            self.lab.pod(node, number)
        self.lab.outside()
        self.hosts: dict[str, Host] = {
            **self.lab.fabric.pods,
            **self.lab.fabric.nodes,
            **self.lab.fabric.outside,
        }
        for host in self.hosts.values():
            inbox(host).answer = self.answerer(host)
        served = (
            Service(DNS, 53, [("10.244.1.5", 8053), ("10.244.2.7", 8053), ("10.244.2.8", 8053)]),
            Service(WEB, 80, [("10.244.2.8", 8080), ("10.244.1.6", 8080)], "tcp"),
        )
        if mode == "iptables":
            self.lab.serve(*served)
        else:
            self.nft = NftServices(self.lab.nodes, affinity)
            self.nft.serve(*served)
        self.lab.rules(filter(BASE_RULES))
        self.capture = Capture()
        for cable in self.lab.fabric.cables.values():
            self.capture.attach(cable)

    @staticmethod
    def answerer(host: Host) -> Any:
        """What a server does, seen from outside: one answer for what comes to its port."""

        def answer(packet: Packet, now: int) -> None:
            if packet.flow.dport not in (53, 80, 8053, 8080) or packet.flow.sport in (53, 80, 8053, 8080):
                return
            reply = Packet(packet.flow.reverse(), packet.body, next(host.ns.uids))
            if packet.flow.proto == TCP:
                flags = packet.body.flags  # type: ignore[union-attr]
                back = {SYN: SYN | ACK, FIN | ACK: FIN | ACK}.get(flags, ACK)
                reply.body = TcpSegment(1, 1, back, 1000)
                reply.size = 54
            host.ns.output(reply, now)

        return answer

    def execute(self, script: Sequence[tuple[Any, int]]) -> "Run":
        for step, wait in script:
            if isinstance(step, Change):
                getattr(self, step.what)(step.which)
            else:
                for send in step:
                    self.send(send)
                    self.lab.run(20 * US)
            if wait:
                self.lab.run(wait)
            self.lab.check_books()
        self.lab.run(60 * S)
        self.lab.check_books()
        assert self.lab.fabric.in_flight() == 0 or any(isinstance(step, Change) for step, _ in script)
        return self

    def send(self, send: Send) -> None:
        host = self.hosts[send.host]
        source = ip_text(host.address)
        port = SERVER_PORTS.get(send.target, 8080 if send.flags else 8053)
        if send.flags:
            packet = tcp(source, send.sport, send.target, port, send.flags, b"x" * min(send.size, 1400))
        else:
            packet = udp(source, send.sport, send.target, port, b"x" * send.size)
        packet.ttl = send.ttl
        if host.alive:
            self.lab.send(host, packet)

    # ------------------------------------------------------------------ changes
    def rules(self, which: int) -> None:
        node = self.lab.nodes[which % 2]
        assert node.ns.xtables is not None
        assert node.ns.nft is not None
        if self.mode == "nftables" and which % 3:
            if which % 3 == 1:
                self.nft.serve(Service(DNS, 53, [("10.244.2.8", 8053)]), nodes=[node])
            else:
                node.ns.nft.commit(NFT_CHANGES[which // 3 % len(NFT_CHANGES)])
            return
        node.ns.xtables.restore(RULE_CHANGES[which % len(RULE_CHANGES)])

    def route(self, which: int) -> None:
        ns = self.lab.nodes[which % 2].ns
        prefix = Prefix.parse("10.244.2.7/32")
        kinds = [RouteKind.BLACKHOLE, RouteKind.UNREACHABLE]
        if ns.routes.lookup(ip("10.244.2.7")).kind in kinds:  # type: ignore[union-attr]
            ns.remove_route(prefix)
        else:
            ns.add_route(Route(prefix, kind=kinds[which // 2 % 2]))

    def netem(self, which: int) -> None:
        cables = list(self.lab.fabric.cables.values())
        self.lab.fabric.set_netem(cables[which % len(cables)], NETEMS[which % len(NETEMS)])

    def cable(self, which: int) -> None:
        cables = list(self.lab.fabric.cables.values())
        cable = cables[which % len(cables)]
        self.lab.fabric.set_cable(cable, up=not cable.there.up)

    def delete(self, which: int) -> None:
        conntrack = self.lab.nodes[which % 2].ns.conntrack
        assert conntrack is not None
        conntrack.delete(lambda entry: entry.proto == UDP, self.lab.engine.now)

    def mtu(self, which: int) -> None:
        ns = self.lab.nodes[which % 2].ns
        ns.devices["eth0"].mtu = 1000 if ns.devices["eth0"].mtu == 1500 else 1500
        ns.changed()

    def gone(self, which: int) -> None:
        pod = self.lab.fabric.pods.get(HOSTS[which % 4])
        if pod is not None and which % 3 == 0:
            self.lab.fabric.remove_pod(pod)

    def crash(self, which: int) -> None:
        if which == 0:
            self.lab.fabric.crash_node("n2")

    # ------------------------------------------------------------------ what can be seen of it
    def frames(self) -> list[tuple[Any, ...]]:
        return [(hop.at_ns, hop.link.name, hop.packet().to_bytes()) for hop in self.capture]

    def deliveries(self) -> dict[str, list[tuple[Any, ...]]]:
        return {
            name: [(at, p.uid, p.flow, p.ttl, p.mark, p.to_bytes()) for at, p in inbox(host).got]
            + inbox(host).errors
            for name, host in self.hosts.items()
        }

    def books(self) -> dict[str, Any]:
        every = {"router": self.lab.fabric.router, **self.hosts}
        return {name: (host.ns.sent, host.ns.delivered, dict(host.ns.drops)) for name, host in every.items()}

    def conntrack(self) -> dict[str, list[Any]]:
        return {
            node.name: [
                (entry.text(0), entry.expires_ns, entry.created_ns, entry.nat, entry.confirmed)
                for entry in node.ns.conntrack.entries(0)
            ]
            for node in self.lab.nodes
        }

    def counters(self) -> dict[str, str]:
        for node in self.lab.nodes:
            node.ns.conntrack.settle()
        return {
            node.name: node.ns.xtables.save(counters=True) + node.ns.nft.list_ruleset(self.lab.engine.now)
            for node in self.lab.nodes
        }

    def remembered(self) -> int:
        """Packets that took a remembered path since their counts were last settled."""
        halves = [half for node in self.lab.nodes for half in node.ns.conntrack.table.values()]
        return sum(half.path.packets for half in halves if half.path is not None)


@pytest.mark.parametrize("network", ["vxlan", "bridge"])
@settings(max_examples=30)
@given(scripts, st.integers(0, 3))
def test_both_ways_give_the_same_run_with_tunnels_and_bridges(
    network: str, script: list[tuple[Any, int]], seed: int
) -> None:
    agree(*(Run(follow, seed, network=network).execute(script) for follow in (False, True)))


def agree(fast: Run, full: Run) -> None:
    assert full.remembered() == 0
    assert fast.frames() == full.frames()
    assert fast.deliveries() == full.deliveries()
    assert fast.books() == full.books()
    assert fast.conntrack() == full.conntrack()
    assert fast.counters() == full.counters()


@settings(max_examples=60)
@given(scripts, st.integers(0, 3))
def test_both_ways_give_the_same_run(script: list[tuple[Any, int]], seed: int) -> None:
    agree(Run(False, seed).execute(script), Run(True, seed).execute(script))


@settings(max_examples=60)
@given(scripts, st.integers(0, 3), st.sampled_from([0, 0, 2]))
def test_both_ways_give_the_same_run_with_nftables(
    script: list[tuple[Any, int]], seed: int, affinity: int
) -> None:
    fast, full = (Run(follow, seed, "nftables", affinity).execute(script) for follow in (False, True))
    agree(fast, full)


def steady(protocol: str) -> list[tuple[Any, int]]:
    """Long flows of which nearly all packets should take the remembered path."""
    target = DNS if protocol == "udp" else WEB
    script: list[tuple[Any, int]] = []
    for host in ("p1-5", "p1-6", "p2-7", "p2-8", "laptop"):
        where = "203.0.113.10" if host == "p1-5" else target
        script += [
            ([Send(host, where, 4000, flags, 100, 64)], MS)
            for flags in (["S", "."] if protocol == "tcp" else [""])
        ]
    for _ in range(20):
        script += [
            (
                [Send(host, target, 4000, "." if protocol == "tcp" else "", 100, 64) for host in HOSTS[:4]],
                2 * MS,
            )
        ]
    return script


@pytest.mark.parametrize(
    ("mode", "network"),
    [("iptables", "flat"), ("nftables", "flat"), ("iptables", "vxlan"), ("iptables", "bridge")],
)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_steady_flows_take_the_remembered_path(protocol: str, mode: str, network: str) -> None:
    script = steady(protocol)
    fast = Run(False, mode=mode, network=network).execute(script)
    full = Run(True, mode=mode, network=network).execute(script)
    assert fast.remembered() > 150
    assert fast.frames() == full.frames()
    assert fast.counters() == full.counters()


@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_new_flows_take_the_remembered_way(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once every branch of the rules has been seen."""
    taken: list[Packet] = []
    real = fastpath.take

    def take(ns: Any, conntrack: Any, first: Any, packet: Packet, now: int) -> None:
        taken.append(packet)
        real(ns, conntrack, first, packet, now)

    monkeypatch.setattr(fastpath, "take", take)
    script = [([Send("p1-6", DNS, 4000 + port, "", 100, 64)], 5 * MS) for port in range(60) for _ in range(2)]
    fast, full = Run(False, mode=mode).execute(script), Run(True, mode=mode).execute(script)
    assert len(taken) > 40
    agree(fast, full)


def counted_before_dnat(follow: bool, drop: bool) -> Run:
    """Flows of the same two hosts by two Services; a rule before DNAT counts, or drops, the answered ones of one."""
    run = Run(follow, mode="nftables")
    endpoint = [("10.244.2.7", 8053)]
    run.nft.serve(Service(DNS, 53, endpoint), Service(OTHER, 53, endpoint))
    asked = (Address("daddr", (Prefix.parse(f"{OTHER}/32"),)), CtState(("ESTABLISHED",)))
    for node in run.lab.nodes:
        node.ns.nft.commit(lab_chain(Rule(asked, DROP if drop else None, counted=True), base=EARLY))
    script: list[tuple[Any, int]] = []
    for port in range(4000, 4008):
        for target in (DNS, OTHER):
            script += [([Send("p1-6", target, port, "", 100, 64)], 2 * MS)] * 4
    return run.execute(script)


@pytest.mark.parametrize("drop", [False, True])
def test_what_is_remembered_depends_on_the_service_that_was_asked(drop: bool) -> None:
    fast, full = counted_before_dnat(False, drop), counted_before_dnat(True, drop)
    agree(fast, full)
    assert f"counter packets {8 * 3} bytes" in fast.counters()["n1"]


def test_watching_changes_nothing() -> None:
    """The same deliveries without a capture."""
    script = steady("udp")
    watched, alone = Run(False), Run(False)
    alone.capture.stop()
    assert watched.execute(script).deliveries() == alone.execute(script).deliveries()
    assert alone.frames() == []
