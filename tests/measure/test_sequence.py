"""Sequence diagrams: who sent what to whom, in order of time, and rewrites told from those that take them back."""

from xml.etree import ElementTree

import pytest

from netsim.kernel.journey import Step
from netsim.measure.journey import Journey
from netsim.measure.sequence import Arrow, Mark, hosts, sequence
from netsim.wire.addr import ip
from netsim.wire.packet import TCP, Flow, TcpSegment

CLIENT, VIP, POD, NODE = ip("10.244.1.2"), ip("10.96.0.10"), ip("10.244.2.2"), ip("172.18.0.3")
ASKED = Flow(CLIENT, VIP, 40000, 80, TCP)
MASKED = Flow(NODE, POD, 50000, 80, TCP)
SYN, SYN_ACK = TcpSegment(1, 0, 2, 64240), TcpSegment(7, 2, 18, 64240)


def step(at: int, host: str, kind: str, flow: Flow, uid: int, detail: str = "") -> Step:
    return Step(at, host, "", kind, detail, flow, 64, uid, SYN if uid == 1 else SYN_ACK)


def rewritten(at: int, kind: str, before: Flow, after: Flow, uid: int) -> Step:
    """The step is told with the addresses that the packet still has."""
    return step(at, "worker-1", kind, before, uid, str(after))


@pytest.fixture
def journey() -> Journey:
    """A connection through a node that changes both ends, there and back; the answer is dropped at the end."""
    there = ASKED._replace(dst=POD)
    back, half = MASKED.reverse(), MASKED.reverse()._replace(dst=CLIENT, dport=40000)
    steps = [
        step(0, "default/client", "send", ASKED, 1),
        step(1, "default/client", "transmit", ASKED, 1),
        step(2, "worker-1", "receive", ASKED, 1),
        rewritten(2, "dnat", ASKED, there, 1),
        rewritten(2, "snat", there, MASKED, 1),
        step(3, "worker-1", "transmit", MASKED, 1),
        step(4, "default/web", "receive", MASKED, 1),
        step(4, "default/web", "deliver", MASKED, 1),
        step(5, "default/web", "transmit", back, 2),
        step(6, "worker-1", "receive", back, 2),
        rewritten(6, "dnat", back, half, 2),
        rewritten(6, "snat", half, ASKED.reverse(), 2),
        step(7, "worker-1", "transmit", ASKED.reverse(), 2),
        step(8, "default/client", "receive", ASKED.reverse(), 2),
        step(8, "default/client", "drop", ASKED.reverse(), 2, "RP_FILTER: why"),
    ]
    return Journey(steps, 0, {CLIENT: "default/client", VIP: "svc/web"})


def test_rewrites_and_what_takes_them_back(journey: Journey) -> None:
    marks = [(m.at_ns, m.kind, m.short) for m in sequence(journey) if isinstance(m, Mark)]
    assert marks == [
        (2, "DNAT", "to 10.244.2.2:80"),
        (2, "SNAT", "from 172.18.0.3:50000"),
        (6, "un-SNAT", "to 10.244.1.2:40000"),
        (6, "un-DNAT", "from 10.96.0.10:80"),
        (8, "DROP", "RP_FILTER"),
    ]


def test_arrows_go_from_host_to_host_in_order_of_time(journey: Journey) -> None:
    arrows = [event for event in sequence(journey) if isinstance(event, Arrow)]
    assert [(a.at_ns, a.until_ns, a.source, a.destination, a.target) for a in arrows] == [
        (1, 2, "default/client", "worker-1", "svc/web"),
        (3, 4, "worker-1", "default/web", "10.244.2.2"),
        (5, 6, "default/web", "worker-1", "172.18.0.3"),
        (7, 8, "worker-1", "default/client", "default/client"),
    ]
    assert {a.protocol for a in arrows} == {"tcp"}
    assert hosts(sequence(journey)) == ("default/client", "worker-1", "default/web")


def test_the_tunnel_is_marked_with_its_other_end() -> None:
    outer = "udp 172.18.0.3:35117 > 172.18.0.2:8472"
    steps = [
        step(0, "a", "encapsulate", ASKED, 1, f"vni 1 in {outer}"),
        step(1, "b", "decapsulate", ASKED, 1, f"vni 1 from {outer}"),
    ]
    shorts = [event.short for event in sequence(Journey(steps, 0)) if isinstance(event, Mark)]
    assert shorts == ["vni 1 to 172.18.0.2:8472", "vni 1 from 172.18.0.3:35117"]


def test_mermaid_and_figure_say_the_same(journey: Journey) -> None:
    mermaid, svg = journey.mermaid(), journey.plot("a question <&>").svg()
    assert mermaid.count("->>") == 4
    assert mermaid.count("Note over") == 5
    assert "Note over h1: un-DNAT tcp 10.96.0.10:80 > 10.244.1.2:40000" in mermaid
    drawn = " ".join(ElementTree.fromstring(svg).itertext())
    for event in sequence(journey):
        assert (f"{event.kind} {event.short}" if isinstance(event, Mark) else event.words) in drawn
    assert "a question <&>" in drawn
    assert b"Verdana" in svg


def test_a_long_journey_says_what_it_leaves_out(journey: Journey) -> None:
    steps = [step(n, "a" if n % 2 else "b", "receive", ASKED, 1) for n in range(200)]
    drawn = " ".join(ElementTree.fromstring(Journey(steps, 0).plot().svg()).itertext())
    assert "... and 129 more" in drawn


def test_notebooks_see_the_diagram_and_every_step(journey: Journey) -> None:
    html = journey._repr_html_()
    assert html.startswith('<img alt="sequence diagram"')
    assert "RP_FILTER" in html
    assert Journey([], 0)._repr_html_()  # an empty one has a picture too
