"""Clients outside the cluster: node ports, load-balancer addresses, external IPs; what answers, and what is seen."""

from collections.abc import Iterator

import pytest
from servicelab import LOCALHOST_NODE_PORT, MODES, Asker, address, pod, service, settled

from netsim.wire.addr import ip_text

OBJECTS = (
    pod("web-1", "n1")
    + pod("web-2", "n2")
    + pod("client", "n3", "run: client", "{name: c, image: busybox}")
    + service("web", "type: LoadBalancer, ports: [{port: 80, nodePort: 30080}], externalIPs: [198.51.100.7]")
    + service(
        "near", "type: LoadBalancer, externalTrafficPolicy: Local, ports: [{port: 80, nodePort: 30081}]"
    )
    + service(
        "proxied", "type: LoadBalancer, loadBalancerClass: x/proxy, ports: [{port: 80, nodePort: 30082}]"
    )
    + service(
        "own",
        "type: LoadBalancer, allocateLoadBalancerNodePorts: false, loadBalancerIP: 203.0.113.140,"
        " ports: [{port: 80}]",
    )
    + service(
        "friends",
        "type: LoadBalancer, loadBalancerIP: 203.0.113.141, loadBalancerSourceRanges: [198.18.0.0/15],"
        " ports: [{port: 80}]",
    )
    + service(
        "friends-proxied",
        "type: LoadBalancer, loadBalancerClass: x/proxy, loadBalancerIP: 203.0.113.70,"
        " loadBalancerSourceRanges: [198.18.0.0/15], ports: [{port: 80}]",
    )
    + service("nobody", "type: NodePort, ports: [{port: 80, nodePort: 30090}]", selector="")
)
MORE = """\
  - {name: friend, address: 198.18.0.1}
  routes: [{to: 198.51.100.0/24, via: n3}]
  loadBalancer: {addresses: 203.0.113.128/28}
  loadBalancerClasses: [{class: x/proxy, addresses: 203.0.113.64/28, preset: clb}]
"""


@pytest.fixture(scope="module", params=MODES)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    asker = settled(tmp_path_factory.mktemp("outside"), request.param, OBJECTS, MORE)
    yield asker
    assert asker.cluster.books().closes


@pytest.mark.parametrize(
    ("source", "url", "service_name", "via"),
    [
        ("external/laptop", "http://n1:30080/", "web", "n1"),
        ("external/laptop", "http://n3:30080/", "web", "n3"),
        ("external/laptop", "http://control-plane:30080/", "web", "control-plane"),
        ("external/laptop", "http://203.0.113.128/", "web", None),
        ("external/laptop", "http://198.51.100.7/", "web", "n3"),
        ("external/laptop", "http://n1:30081/", "near", "n1"),
        ("external/laptop", "http://n2:30081/", "near", "n2"),
        ("external/laptop", "http://203.0.113.129/", "near", None),
        ("external/laptop", "http://203.0.113.64/", "proxied", None),
        ("external/laptop", "http://203.0.113.140/", "own", None),
        ("external/friend", "http://203.0.113.141/", "friends", None),
        ("external/friend", "http://203.0.113.70/", "friends-proxied", None),
        ("node/n3", "http://203.0.113.128/", "web", "n3"),
        ("node/n3", "http://203.0.113.64/", "proxied", None),
        ("pod/client", "http://203.0.113.128/", "web", "n3"),
        ("pod/client", "http://203.0.113.129/", "near", "n3"),
        ("pod/client", "http://198.51.100.7/", "web", "n3"),
        ("pod/client", "http://172.18.0.3:30080/", "web", "n1"),
        ("pod/client", "http://203.0.113.64/", "proxied", None),
    ],
)
def test_what_answers(ask: Asker, source: str, url: str, service_name: str, via: str | None) -> None:
    asked = ask(source, url)
    assert (asked.outcome, asked.backend.service) == ("ok", f"default/{service_name}")
    assert asked.pod in ("web-1", "web-2")
    assert asked.backend.via in ([via] if via else ["n1", "n2", "n3"])


def test_a_node_port_on_localhost(ask: Asker) -> None:
    asked = ask("node/n3", "http://127.0.0.1:30080/")
    assert asked.outcome == LOCALHOST_NODE_PORT[ask.mode]
    assert asked.backend.via == ("n3" if asked.outcome == "ok" else "")


@pytest.mark.parametrize(
    ("source", "url", "outcome"),
    [
        ("external/laptop", "http://n1:30099/", "refused"),  # no such node port: the node's own stack
        ("external/laptop", "http://n1:80/", "refused"),
        ("external/laptop", "http://n3:30081/", "timeout"),  # Local, and no endpoint on n3: dropped
        ("external/laptop", "http://n1:30090/", "refused"),  # no endpoint anywhere: rejected
        ("external/laptop", "http://203.0.113.128:81/", "timeout"),  # the balancer has no such listener
        ("external/laptop", "http://203.0.113.64:81/", "timeout"),
        ("external/laptop", "http://203.0.113.133/", "timeout"),  # an address that no Service has
        ("external/laptop", "http://203.0.113.141/", "timeout"),  # not in loadBalancerSourceRanges
        ("external/laptop", "http://203.0.113.70/", "timeout"),
        ("external/laptop", "http://10.96.0.10:53/", "timeout"),  # no route to cluster addresses
        ("node/n3", "http://127.0.0.1:30099/", "refused"),
    ],
)
def test_what_does_not(ask: Asker, source: str, url: str, outcome: str) -> None:
    assert ask(source, url).outcome == outcome


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("http://n1:30080/", "n1"),  # Cluster: the node that got it, also when the pod is its own
        ("http://n3:30080/", "n3"),
        ("http://n1:30081/", "laptop"),  # Local: the client itself
        ("http://203.0.113.129/", "laptop"),
        ("http://203.0.113.64/", "via"),
    ],
)
def test_the_address_that_the_server_sees(ask: Asker, url: str, seen: str) -> None:
    asked = ask("external/laptop", url)
    host = {"laptop": "external/laptop", "via": f"node/{asked.backend.via}"}.get(seen, f"node/{seen}")
    assert asked.backend.seen_as == address(ask, host)


def test_the_measured_address_is_that_of_the_packets(ask: Asker) -> None:
    assert ask.sources_seen("external/laptop", "http://n1:30081/", "pod/web-1") == {"192.0.2.10"}
    seen = [ask.sources_seen("external/laptop", "http://n3:30080/", f"pod/web-{n}") for n in (1, 1, 2, 2)]
    assert set().union(*seen) == {address(ask, "node/n3")}


def test_the_second_hop_costs_time(ask: Asker) -> None:
    asked = [ask("external/laptop", "http://n1:30080/") for _ in range(12)]
    took = {one.pod: one.latency_ns for one in asked}
    # Two more cables of 100 us, there and back, for the handshake and for the request.
    assert took["web-2"] - took["web-1"] == pytest.approx(800_000, rel=0.05)


def test_local_traffic_policy_binds_outsiders_only(ask: Asker) -> None:
    assert set(ask.pods("pod/client", "http://203.0.113.129/", 12)) == {"web-1", "web-2"}
    assert ask("external/laptop", "http://n1:30081/").backend.policy == "Local"
    assert ask("pod/client", "http://203.0.113.129/").backend.policy == ""


@pytest.mark.parametrize(
    ("target", "steps"),
    [
        ("http://n3:30080/", ["dnat", "snat"]),  # masqueraded, so that the answer comes back by n3
        ("http://203.0.113.129/", ["balance", "dnat"]),
        (
            "http://203.0.113.64/",
            ["balance", "dnat by the balancer", "snat", "dnat", "snat"],
        ),  # the balancer's, then the node's
    ],
)
def test_explain_follows_the_first_packet_from_outside(ask: Asker, target: str, steps: list[str]) -> None:
    explained = ask.cluster.explain("external/laptop", target)
    assert explained.outcome.startswith("HTTP 200")
    first = explained.journey.packets[0]
    kinds = [step.kind for step in first.steps if step.kind in ("balance", "dnat", "snat", "ipvs")]
    by_mode = {"dnat by the balancer": "dnat", "dnat": "ipvs" if ask.mode == "ipvs" else "dnat"}
    assert kinds == [by_mode.get(step, step) for step in steps]


def test_addresses_have_names(ask: Asker) -> None:
    names = {ip_text(value): name for value, name in ask.cluster.names().items()}
    assert names["203.0.113.128"] == "lb/default/web"
    assert names["172.18.255.254"] == "load-balancer"
