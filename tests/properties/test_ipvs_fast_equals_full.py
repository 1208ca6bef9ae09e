"""The remembered path of IPVS connections and the full path give the same run.

As in test_fast_equals_full.py, with Services served by the ipvs dataplane: what can be observed also includes the
connections of IPVS with their states and timers, and its counters.
"""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ipvslab import IpvsLab, service
from netlab import udp
from properties import test_fast_equals_full as plain

from netsim.kernel import ipvs_text
from netsim.wire.addr import ip_text

BACKENDS = [("10.244.1.5", 8053), ("10.244.2.7", 8053), ("10.244.2.8", 8053)]


class Run(plain.Run):
    """A script on nodes that run IPVS."""

    def __init__(self, follow: bool, seed: int = 1, **options: Any) -> None:
        super().__init__(follow, seed)
        self.ipvs = IpvsLab(self.lab)
        self.options = options
        self.backends(0)

    def backends(self, which: int) -> None:
        """Other endpoints: with each number another set of them, sometimes none."""
        dns = BACKENDS[: 3 - which % 4]
        web = [("10.244.2.8", 8080), ("10.244.1.6", 8080)][: 2 - which % 3]
        self.ipvs.serve(
            service(plain.DNS, 53, dns, "UDP", **self.options), service(plain.WEB, 80, web, **self.options)
        )

    def minute(self, which: int) -> None:
        """kube-proxy looks after real servers that are to go."""
        node = self.lab.nodes[which % 2]
        self.ipvs.proxiers[node.name].housekeep(node.ns)

    def late(self, which: int) -> None:
        """A real server says something more, maybe after conntrack has forgotten the flow."""
        server = self.hosts[["p1-5", "p2-7", "p2-8"][which % 3]]
        client = self.hosts[plain.HOSTS[which % 7]]
        packet = udp(ip_text(server.address), 8053, ip_text(client.address), 4000 + which % 2)
        if server.alive:
            self.lab.send(server, packet)

    def connections(self) -> list[Any]:
        now = self.lab.engine.now
        found: list[Any] = []
        for index in (0, 1):
            ipvs = self.ipvs.ipvs(index)
            found += [ipvs_text.connections(ipvs, now), ipvs_text.listing(ipvs), ipvs_text.stats(ipvs)]
            found += [(c.flow, c.deadline_ns, c.state) for c in ipvs.conns.values()]
        return found


changes = st.builds(
    plain.Change,
    st.sampled_from(
        [
            "rules",
            "route",
            "cable",
            "delete",
            "mtu",
            "crash",
            "backends",
            "backends",
            "late",
            "late",
            "minute",
        ]
    ),
    st.integers(0, 20),
)
waits = st.one_of(plain.waits, st.sampled_from([130_000_000_000, 400_000_000_000]))
scripts = st.lists(
    st.tuples(st.one_of(plain.repeats, plain.repeats, plain.repeats, changes), waits), min_size=1, max_size=25
)


def same(fast: Run, full: Run) -> None:
    assert full.remembered() == 0
    assert fast.frames() == full.frames()
    assert fast.deliveries() == full.deliveries()
    assert fast.books() == full.books()
    assert fast.conntrack() == full.conntrack()
    assert fast.counters() == full.counters()
    assert fast.connections() == full.connections()


@settings(max_examples=40)
@given(scripts, st.integers(0, 3), st.sampled_from([0, 100]))
def test_both_ways_give_the_same_run(script: list[tuple[Any, int]], seed: int, affinity_s: int) -> None:
    fast, full = (
        Run(follow, seed, affinity_timeout_s=affinity_s).execute(script) for follow in (False, True)
    )
    same(fast, full)


@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_steady_flows_take_the_remembered_path(protocol: str) -> None:
    script = plain.steady(protocol)
    fast, full = Run(False).execute(script), Run(True).execute(script)
    assert fast.remembered() > 150
    same(fast, full)


def whole_lives() -> list[tuple[Any, int]]:
    """TCP connections from the first SYN to the last ACK, and what the timers do afterwards."""
    script: list[tuple[Any, int]] = []
    for flags in ("S", ".", ".", ".", "F.", ".", ""):
        sends = [plain.Send(host, plain.WEB, 4000, flags or ".", 100, 64) for host in plain.HOSTS[:4]]
        script.append((sends, plain.MS if flags else 200 * plain.S))
    return script


def test_whole_lives() -> None:
    """Segments that change the state take the remembered path too."""
    for length in range(2, 8):
        script = whole_lives()[:length]
        fast, full = Run(False).execute(script), Run(True).execute(script)
        same(fast, full)
