"""What a topology's choice of proxy mode makes of KubeProxyConfiguration."""

from typing import Any

import pytest

from netsim.cluster.runtime import NodeConfig
from netsim.cluster.timing import Timing
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.nftables_config import FIRST_MINOR
from netsim.engine import S
from netsim.experiment.build import DATAPLANES, node_view
from netsim.experiment.rules_cluster import MODES
from netsim.experiment.rules_proxy import NFTABLES_MINOR
from netsim.experiment.spec_cluster import ClusterSpec
from netsim.wire.addr import Prefix

NODE = NodeConfig("worker", "172.18.0.3", "10.244.1.0/24", {}, ())
HOST = (Prefix.parse("172.18.0.3/32"),)


def spec(mode: str, version: str = "1.34", **proxy: Any) -> ClusterSpec:
    return ClusterSpec.model_validate(
        {"kubernetesVersion": version, "networking": {"kubeProxyMode": mode}, "kubeProxy": proxy}
    )


def test_every_mode_has_a_dataplane() -> None:
    assert set(MODES) == set(DATAPLANES)
    assert NFTABLES_MINOR == FIRST_MINOR


@pytest.mark.parametrize(
    ("mode", "given", "expected"),
    [
        ("iptables", [], None),
        ("iptables", ["primary"], HOST),
        ("iptables", ["172.18.0.0/16"], (Prefix.parse("172.18.0.0/16"),)),
        ("nftables", [], HOST),
        ("nftables", ["primary"], HOST),
        ("nftables", ["0.0.0.0/0", "::/0"], (Prefix.parse("0.0.0.0/0"),)),
    ],
)
def test_node_port_addresses(mode: str, given: list[str], expected: tuple[Prefix, ...] | None) -> None:
    assert node_view(spec(mode, nodePortAddresses=given), NODE).node_port_addresses == expected


@pytest.mark.parametrize(("mode", "other"), [("iptables", "nftables"), ("nftables", "iptables")])
def test_only_the_section_of_the_mode_counts(mode: str, other: str) -> None:
    mine = {"minSyncPeriod": "7s", "syncPeriod": "70s", "masqueradeAll": True, "masqueradeBit": 3}
    theirs = {"minSyncPeriod": "9s", "syncPeriod": "90s", "masqueradeBit": 5}
    found = spec(mode, **{mode: mine, other: theirs})
    timing = Timing.for_version(found.kubernetesVersion, found.timing_flags())
    assert (timing.proxy.min_sync_period_ns, timing.proxy.sync_period_ns) == (7 * S, 70 * S)
    assert node_view(found, NODE).masquerade_all
    dataplane = DATAPLANES[mode](found)
    assert isinstance(dataplane, IptablesDataplane | NftablesDataplane)
    assert dataplane.config.masquerade_mark == 8
    assert not node_view(spec(mode, **{other: mine}), NODE).masquerade_all


@pytest.mark.parametrize(
    ("version", "partial", "listing"), [("1.31", False, 0), ("1.32", True, 0), ("1.36", True, 700_000)]
)
def test_nftables_by_version(version: str, partial: bool, listing: int) -> None:
    dataplane = DATAPLANES["nftables"](spec("nftables", version))
    assert isinstance(dataplane, NftablesDataplane)
    assert dataplane.config.partial_sync is partial
    assert dataplane.config.cost.list_ns == listing
    assert dataplane.config.service_cidrs == (Prefix.parse("10.96.0.0/16"),)
