"""The fabric as a whole: who reaches whom, what vanishes with a pod or a node, and the packet books."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from netlab import Lab, Service, flow, inbox, ping, udp

from netsim.engine import MS, US, Engine, S
from netsim.fabric.fabric import mac_for
from netsim.fabric.host import Host, PodHost
from netsim.fabric.link import LinkSpec, Netem
from netsim.kernel.hooks import DropReason
from netsim.kernel.sysctl import Sysctl
from netsim.wire.addr import ip, ip_text
from netsim.wire.packet import ICMP, ArpMessage

PODS = [(1, 5), (1, 6), (2, 7), (3, 8)]


@pytest.fixture
def lab() -> Lab:
    found = Lab(nodes=3)
    for node, number in PODS:
        found.pod(node, number)
    found.outside()
    return found


def hosts(lab: Lab) -> dict[str, Host]:
    return {**lab.fabric.pods, **lab.fabric.nodes, **lab.fabric.outside}


def pod(lab: Lab, name: str) -> PodHost:
    return lab.fabric.pods[name]


def say(lab: Lab, source: Host, target: str, sport: int = 4000, dport: int = 53) -> object:
    return lab.send(source, udp(ip_text(source.address), sport, target, dport))


# ---------------------------------------------------------------- who reaches whom
NAMES = ["p1-5", "p1-6", "p2-7", "p3-8", "n1", "n2", "n3"]


@pytest.mark.parametrize("target", [*NAMES, "laptop"])
@pytest.mark.parametrize("source", NAMES)
def test_everybody_reaches_everybody(lab: Lab, source: str, target: str) -> None:
    here, there = hosts(lab)[source], hosts(lab)[target]
    if here is not there:
        inbox(there).echo()
    say(lab, here, ip_text(there.address))
    lab.run(S)
    # Between pods nobody is translated; what leaves a node for another place has the node's address.
    leaves = isinstance(here, PodHost) and not isinstance(there, PodHost) and there is not here.node
    seen_from = here.node.address if leaves else here.address
    seen = flow(ip_text(seen_from), 4000, ip_text(there.address), 53)
    assert inbox(there).flows == [seen]
    if here is not there:
        assert inbox(here).flows == [flow(ip_text(there.address), 53, ip_text(here.address), 4000)]
    assert lab.fabric.drops().total() == 0
    lab.check_books()


def test_from_outside_only_the_nodes_are_known(lab: Lab) -> None:
    laptop = lab.fabric.outside["laptop"]
    say(lab, laptop, "172.18.0.3")
    say(lab, laptop, "10.244.2.7")
    lab.run(S)
    assert len(inbox(lab.fabric.nodes["n2"]).got) == 1
    assert inbox(pod(lab, "p2-7")).got == []
    assert lab.fabric.drops() == {("router", "FORWARD", DropReason.IP_BLACKHOLE): 1}


def test_two_outside_hosts_meet_at_the_router() -> None:
    lab = Lab(nodes=1)
    laptop = lab.outside()
    other = lab.fabric.add_outside("other", ip("198.51.100.7"))
    lab.send(laptop, ping("203.0.113.10", "198.51.100.7"))
    lab.run(S)
    assert inbox(laptop).flows == [flow("198.51.100.7", 7, "203.0.113.10", 0, ICMP)]
    assert other.ns.delivered == 1


# ---------------------------------------------------------------- times and hops
def test_time_and_hops_between_pods_of_one_node(lab: Lab) -> None:
    """veth, node (1.7 us, and 10 us and a few rules for a first packet), veth."""
    say(lab, pod(lab, "p1-5"), "10.244.1.6")
    lab.run(S)
    ((at, packet),) = inbox(pod(lab, "p1-6")).got
    wire = packet.size * 320 // 1000
    rules = 1 + 1  # POSTROUTING's jump and the RETURN for pods
    assert at == 2 * (1700 + wire) + 1700 + 10_000 + 6 * rules
    assert packet.ttl == 63


def test_time_and_hops_between_nodes_once_addresses_are_known(lab: Lab) -> None:
    inbox(pod(lab, "p2-7")).echo()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    (_, _), (at, packet) = inbox(pod(lab, "p2-7")).got
    veth, cable = 1700 + packet.size * 320 // 1000, 100_000 + packet.size * 800 // 1000
    assert at - S == 2 * veth + 2 * cable + 2 * 1700
    assert packet.ttl == 62


def test_loopback_takes_its_time(lab: Lab) -> None:
    for host in (pod(lab, "p1-5"), lab.fabric.nodes["n1"]):
        lab.send(host, udp("127.0.0.1", 1, "127.0.0.1", 53))
        lab.run(S)
    assert [at % S for at, _ in inbox(pod(lab, "p1-5")).got + inbox(lab.fabric.nodes["n1"]).got] == [
        1700,
        1700,
    ]
    lab.check_books()


def test_links_of_their_own_speed() -> None:
    lab = Lab(nodes=1, default_link=LinkSpec(delay_ns=3 * MS, rate_bps=10**6))
    laptop = lab.outside()
    inbox(lab.fabric.nodes["n1"])
    lab.send(laptop, ping("203.0.113.10", "172.18.0.1"))
    lab.run(S)
    ((at, reply),) = inbox(laptop).got
    assert at == 2 * (3 * MS + reply.size * 8 * US)


# ---------------------------------------------------------------- ARP on the underlay
def test_neighbours_on_the_underlay_are_really_asked_for(lab: Lab) -> None:
    heard = []
    for link in lab.fabric.cables["n1:eth0"].links:
        link.taps.append(lambda link, packet, at: heard.append((link.name, packet.body)))
        link.rewire()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    frames = [(name, body.op) for name, body in heard if isinstance(body, ArpMessage)]
    assert frames == [("n1:eth0", 1), ("switch:n1", 2)]
    assert "172.18.0.3 dev eth0" in lab.fabric.nodes["n1"].ns.neighbours.render()
    lab.check_books()


# ---------------------------------------------------------------- a pod goes
def test_a_removed_pods_address_leads_nowhere(lab: Lab) -> None:
    gone = pod(lab, "p2-7")
    inbox(gone).echo()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    lab.fabric.remove_pod(gone)
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(10 * S)
    assert len(inbox(gone).got) == 1
    assert lab.fabric.drops() == {("n2", "FORWARD", DropReason.IP_BLACKHOLE): 1}
    assert inbox(pod(lab, "p1-5")).errors == []  # silence
    lab.check_books()


def test_what_is_under_way_to_a_removed_pod_is_counted(lab: Lab) -> None:
    gone = pod(lab, "p1-6")
    say(lab, pod(lab, "p1-5"), "10.244.1.6")
    lab.run(15 * US)  # on the last veth
    assert lab.fabric.in_flight() == 1
    lab.fabric.remove_pod(gone)
    lab.check_books()
    lab.run(S)
    assert lab.fabric.drops() == {("p1-6", "PREROUTING", DropReason.DEVICE_DOWN): 1}
    lab.check_books()


def test_a_removed_pod_cannot_send(lab: Lab) -> None:
    gone = pod(lab, "p1-6")
    lab.fabric.remove_pod(gone)
    say(lab, gone, "10.244.1.5")
    lab.run(S)
    assert inbox(pod(lab, "p1-5")).got == []
    lab.check_books()


def test_removing_twice_is_harmless(lab: Lab) -> None:
    gone = pod(lab, "p1-6")
    lab.fabric.remove_pod(gone)
    lab.fabric.remove_pod(gone)
    assert not gone.alive
    assert gone.veth not in lab.fabric.nodes["n1"].ns.devices
    assert "p1-6:eth0" not in lab.fabric.cables


def test_a_new_pod_may_have_the_old_name_and_address(lab: Lab) -> None:
    inbox(pod(lab, "p1-6")).echo()
    say(lab, pod(lab, "p1-5"), "10.244.1.6")
    lab.run(S)
    lab.fabric.remove_pod(pod(lab, "p1-6"))
    new = lab.pod(1, 6)
    say(lab, pod(lab, "p1-5"), "10.244.1.6")
    lab.run(S)
    assert len(inbox(new).got) == 1
    lab.check_books()


def test_duplicates_on_a_cable_that_is_gone_stay_in_the_books(lab: Lab) -> None:
    lab.fabric.set_netem(lab.fabric.cables["p1-6:eth0"], Netem(duplicate=1.0))
    say(lab, pod(lab, "p1-5"), "10.244.1.6")
    lab.run(S)
    assert len(inbox(pod(lab, "p1-6")).got) == 2
    lab.fabric.remove_pod(pod(lab, "p1-6"))
    assert lab.fabric.copies() == 1
    lab.check_books()


# ---------------------------------------------------------------- a node goes
def test_a_crashed_node_takes_its_pods_along(lab: Lab) -> None:
    inbox(pod(lab, "p2-7")).echo()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    lab.fabric.crash_node("n2")
    assert not lab.fabric.nodes["n2"].alive
    assert not pod(lab, "p2-7").alive
    for _ in range(3):
        say(lab, pod(lab, "p1-5"), "10.244.2.7")
        say(lab, lab.fabric.nodes["n3"], "172.18.0.3")
        lab.run(100 * MS)
    lab.check_books()
    lab.run(60 * S)
    lab.check_books()
    assert len(inbox(pod(lab, "p2-7")).got) == 1
    drops = lab.fabric.drops()
    assert drops["switch", "LINK", DropReason.LINK_DOWN] >= 3
    assert inbox(lab.fabric.nodes["n3"]).errors[0][2:] == (3, 1)  # never knew its address: EHOSTUNREACH


def test_packets_of_a_crashed_node_that_are_on_the_wire_arrive(lab: Lab) -> None:
    inbox(pod(lab, "p2-7")).echo()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    say(lab, pod(lab, "p1-5"), "10.244.2.7", sport=4001)
    lab.run(60 * US)  # between node n1 and the switch
    lab.fabric.crash_node("n1")
    lab.run(S)
    assert [f.sport for f in inbox(pod(lab, "p2-7")).flows] == [4000, 4001]
    lab.check_books()


def test_packets_on_the_way_to_a_crashed_node_are_counted_there(lab: Lab) -> None:
    inbox(pod(lab, "p2-7")).echo()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(150 * US)  # between the switch and n2
    lab.fabric.crash_node("n2")
    lab.run(S)
    assert lab.fabric.drops() == {("n2", "PREROUTING", DropReason.DEVICE_DOWN): 1}
    lab.check_books()


def test_a_crashed_node_forgets_what_waited_for_a_neighbour(lab: Lab) -> None:
    say(lab, pod(lab, "p1-5"), "172.18.0.99")  # nobody's address
    lab.run(MS)
    assert lab.fabric.nodes["n1"].ns.neighbours.waiting == 1
    lab.fabric.crash_node("n1")
    lab.check_books()
    sent = lab.fabric.nodes["n1"].ns.sent
    lab.run(10 * S)
    assert lab.fabric.nodes["n1"].ns.sent == sent  # and asks no more
    lab.check_books()


def test_pods_of_a_crashed_node_can_be_removed(lab: Lab) -> None:
    lab.fabric.crash_node("n2")
    lab.fabric.remove_pod(pod(lab, "p2-7"))
    lab.fabric.crash_node("n2")  # harmless
    lab.run(S)
    lab.check_books()


def test_a_pulled_cable_and_plugged_in_again(lab: Lab) -> None:
    cable = lab.fabric.cables["n1:eth0"]
    inbox(pod(lab, "p2-7")).echo()
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    lab.fabric.set_cable(cable, up=False)
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    say(lab, pod(lab, "p2-7"), "10.244.1.5", sport=99)
    lab.run(S)
    lab.fabric.set_cable(cable, up=True)
    say(lab, pod(lab, "p1-5"), "10.244.2.7")
    lab.run(S)
    assert len(inbox(pod(lab, "p2-7")).got) == 2
    assert lab.fabric.drops() == {
        ("n1", "LINK", DropReason.LINK_DOWN): 1,
        ("switch", "LINK", DropReason.LINK_DOWN): 1,
    }
    lab.check_books()


@pytest.mark.parametrize(("direction", "got"), [("both", [0, 0]), ("from", [0, 1]), ("to", [1, 0])])
def test_netem_in_one_direction(lab: Lab, direction: str, got: list[int]) -> None:
    """As the named end sees it: "from" is what it sends."""
    lab.fabric.set_netem(lab.fabric.cables["p1-5:eth0"], Netem(loss=1.0), direction)
    say(lab, pod(lab, "p1-5"), "10.244.1.6")
    say(lab, pod(lab, "p1-6"), "10.244.1.5")
    lab.run(S)
    assert [len(inbox(pod(lab, name)).got) for name in ("p1-6", "p1-5")] == got
    lab.check_books()


# ---------------------------------------------------------------- books, names, determinism
def test_books_close_at_every_moment_of_a_busy_time(lab: Lab) -> None:
    lab.serve(Service("10.96.0.10", 53, [("10.244.1.6", 53), ("10.244.2.7", 53)]))
    for name in ("p1-6", "p2-7"):
        inbox(pod(lab, name)).echo()
    lab.fabric.set_netem(
        lab.fabric.cables["n2:eth0"], Netem(delay_ns=MS, jitter_ns=MS, loss=0.2, duplicate=0.2)
    )
    for index in range(60):
        say(lab, pod(lab, ["p1-5", "p3-8"][index % 2]), "10.96.0.10", sport=4000 + index)
        lab.run(37 * US)
        lab.check_books()
    lab.fabric.crash_node("n3")
    for _ in range(30):
        lab.run(200 * US)
        lab.check_books()
    lab.run(60 * S)
    assert lab.fabric.in_flight() == 0
    lab.check_books()


def test_macs_depend_on_names_only_and_are_local() -> None:
    macs = {mac_for(host, device) for host in ("n1", "n2", "p1") for device in ("eth0", "veth1")}
    assert len(macs) == 6
    assert {mac[0] for mac in macs} == {2}
    assert mac_for("n1", "eth0") == mac_for("n1", "eth0")


def test_hosts_know_the_time_and_their_settings() -> None:
    engine = Engine()
    host = Host(engine, "h", ip("10.0.0.1"), Sysctl(somaxconn=5))
    engine.run(7)
    assert host.now == 7
    assert host.ns.sysctl.somaxconn == 5
    assert host.alive


SCRIPT = """
import hashlib
from netlab import *
lab = Lab(nodes=3, seed=5)
pods = [lab.pod(node, number) for node, number in ((1, 5), (2, 6), (3, 7))]
lab.serve(Service("10.96.0.10", 53, [("10.244.2.6", 53), ("10.244.3.7", 53)]))
for pod in pods[1:]:
    inbox(pod).echo()
for port in range(4000, 4030):
    lab.send(pods[0], udp("10.244.1.5", port, "10.96.0.10", 53))
    lab.run(50_000)
lab.run(40_000_000_000)
seen = [(at, p.flow, p.to_bytes()) for host in lab.fabric.hosts() if host.name[0] == "p" for at, p in inbox(host).got]
drops = sorted((host, hook, reason.name, number) for (host, hook, reason), number in lab.fabric.drops().items())
print(hashlib.sha256(repr((seen, drops)).encode()).hexdigest())
"""


def test_the_same_run_in_every_process(root: Path) -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env=os.environ
            | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join((str(root), str(root / "tests")))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "7")
    }
    assert len(found) == 1
