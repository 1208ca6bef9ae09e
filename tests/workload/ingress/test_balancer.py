"""Whose turn it is."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.ingress.configuration import Peer
from netsim.workload.ingress.balancer import Balancers
from netsim.workload.ingress.controllers import is_controller

PEERS: tuple[Peer, ...] = tuple((bytes((10, 0, 0, number)), 80) for number in range(5))


@given(st.integers(1, 5), st.integers(0, 40), st.integers(0, 9))
def test_nobody_gets_more_than_one_turn_more(size: int, picks: int, seed: int) -> None:
    balancers = Balancers(Random(seed))
    balancers.sync({"up": PEERS[:size]})
    counts = dict.fromkeys(PEERS[:size], 0)
    for _ in range(picks):
        peer = balancers.pick("up")
        assert peer is not None
        counts[peer] += 1
    assert max(counts.values()) - min(counts.values()) <= 1


def test_only_changed_upstreams_start_anew() -> None:
    balancers = Balancers(Random(1))
    balancers.sync({"a": PEERS, "b": PEERS[:2]})
    first = balancers.pick("a")
    assert first is not None
    balancers.sync({"a": PEERS, "b": PEERS[:1]})
    assert balancers.pick("a") == PEERS[(PEERS.index(first) + 1) % 5]
    assert balancers.pick("b") == PEERS[0]
    assert balancers.pick("c") is None
    balancers.sync({"a": ()})
    assert balancers.pick("a") is None


def test_the_start_is_by_chance() -> None:
    starts = set()
    for seed in range(30):
        balancers = Balancers(Random(seed))
        balancers.sync({"up": PEERS})
        starts.add(balancers.pick("up"))
    assert starts == set(PEERS)


def test_images() -> None:
    good = ["registry.k8s.io/ingress-nginx/controller:v1.13.3", "ingress-nginx/controller",
            "mirror:5000/ingress-nginx/controller@sha256:abc", "x/ingress-nginx/controller:v1@sha256:abc"]  # fmt: skip
    assert all(map(is_controller, good))
    assert not any(map(is_controller, ["nginx", "controller", "ingress-nginx/kube-webhook-certgen"]))
