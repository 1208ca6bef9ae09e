"""The iptables dataplane: full and partial syncs, what nodes share, restarts, cost (texts: tests/conformance)."""

import gc
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from portlab import HISTORY, port, view, wanted

from netsim.dataplane.fragment_store import FragmentStore
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.iptables_config import SMALL_NODES_OF_2019, IptablesConfig, SyncCost
from netsim.dataplane.node_view import DetectLocal, LocalDetector, NodeView
from netsim.dataplane.service_table import (
    Endpoint,
    ServicePort,
    ServiceTable,
    TrafficPolicy,
)
from netsim.kernel.xtables import Xtables
from netsim.wire.addr import Prefix, ip


class Node:
    """A namespace as far as the dataplane sees it."""

    def __init__(self):
        self.xtables, self.ip6tables = Xtables(), Xtables(ipv6=True)
        self.random = Random(1)


def text_of_fresh(table, node_view):
    node = Node()
    IptablesDataplane().on_node(node_view).sync(node, None, table)
    return node.xtables.save()


# ------------------------------------------------------------------ partial syncs
@settings(max_examples=60)
@given(history=HISTORY)
def test_partial_syncs_end_where_a_full_one_would(history):
    dataplane = IptablesDataplane()
    nodes = {number: (Node(), dataplane.on_node(view(number))) for number in (1, 2)}
    table = ServiceTable()
    for node, proxier in nodes.values():
        proxier.sync(node, None, table)
    for changes in history:
        new = table.with_changes(wanted(changes))
        for number, (node, proxier) in nodes.items():
            report = proxier.sync(node, table, new)
            assert not report.full
            assert node.xtables.save() == text_of_fresh(new, view(number))
            rules = sum(
                len(chain.rules)
                for chains in node.xtables.tables.values()
                for chain in chains.values()
                if chain.name.startswith("KUBE-")
            )
            assert report.rules_total == rules
        table = new


def test_partial_sync_writes_only_what_changed():
    node, proxier = Node(), IptablesDataplane().on_node(view())
    old = ServiceTable([port(n) for n in range(1, 21)])
    full = proxier.sync(node, None, old)
    assert full.full
    assert full.chains_written == 8 + 2 + 20 * 3
    new = old.with_changes({port(7).name: port(7, (1, 2, 3))})
    report = proxier.sync(node, old, new)
    assert (report.full, report.services_changed, report.chains_deleted) == (False, 1, 0)
    assert report.chains_written == 8 + 2 + 4
    assert report.cost_ns < full.cost_ns


def test_all_ports_of_a_changed_service_are_rewritten():
    node, proxier = Node(), IptablesDataplane().on_node(view())
    old = ServiceTable([port(1), port(1, label="https"), port(2)])
    proxier.sync(node, None, old)
    report = proxier.sync(node, old, old.with_changes({port(1).name: port(1, (1,))}))
    assert report.chains_written == 8 + 2 + 2 + 3
    assert report.services_changed == 1


def test_unchanged_chains_keep_their_counters():
    node, proxier = Node(), IptablesDataplane().on_node(view())
    old = ServiceTable([port(1), port(2)])
    proxier.sync(node, None, old)
    before = dict(node.xtables.tables["nat"])
    proxier.sync(node, old, old.with_changes({port(1).name: port(1, (1,))}))
    same = [name for name, chain in node.xtables.tables["nat"].items() if before.get(name) is chain]
    assert sum(name.startswith("KUBE-SEP-") for name in same) == 2
    assert "KUBE-SERVICES" in same  # endpoints came and went, but the Service's rule is the same


def test_nothing_happens_before_commit():
    node, proxier = Node(), IptablesDataplane().on_node(view())
    table = ServiceTable([port(1)])
    prepared = proxier.prepare(node, None, table)
    assert prepared.report.rules_written > 0
    assert node.xtables.save() == ""
    again = proxier.prepare(node, None, table)
    again.commit()
    assert node.xtables.save() == text_of_fresh(table, view())


def test_needs_netfilter():
    node = Node()
    node.xtables = None
    with pytest.raises(ValueError, match="netfilter"):
        IptablesDataplane().on_node(view()).sync(node, None, ServiceTable())


# ------------------------------------------------------------------ full syncs
def test_restarted_process_cleans_up_after_its_predecessor():
    node, dataplane = Node(), IptablesDataplane()
    dataplane.on_node(view()).sync(node, None, ServiceTable([port(1), port(2)]))
    report = dataplane.on_node(view()).sync(node, None, ServiceTable([port(2)]))
    assert report.chains_deleted == 3
    assert node.xtables.save() == text_of_fresh(ServiceTable([port(2)]), view())


def test_first_sync_is_full_whatever_is_said():
    node, proxier = Node(), IptablesDataplane().on_node(view())
    old = ServiceTable([port(1)])
    assert proxier.sync(node, old, old).full
    assert not proxier.sync(node, old, old).full


def test_other_peoples_rules_stay():
    node = Node()
    node.xtables.restore(
        "*nat\n:CNI - [0:0]\n-A POSTROUTING -s 10.0.0.0/8 -j CNI\n-A CNI -j MASQUERADE\nCOMMIT"
    )
    proxier = IptablesDataplane().on_node(view())
    for _ in range(2):
        proxier.sync(node, None, ServiceTable())
    rules = [str(rule) for rule in node.xtables.tables["nat"]["POSTROUTING"].rules]
    assert rules == [
        '-m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
        "-s 10.0.0.0/8 -j CNI",
    ]
    assert "CNI" in node.xtables.tables["nat"]


def test_order_of_the_jumps():
    node = Node()
    IptablesDataplane().on_node(view()).sync(node, None, ServiceTable())
    targets = [rule.target.chain for rule in node.xtables.tables["filter"]["FORWARD"].rules]
    assert targets == ["KUBE-PROXY-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"]


def test_new_labels_ask_for_a_full_sync():
    node, proxier = Node(), IptablesDataplane().on_node(view())
    near = Endpoint(ip("10.0.1.1"), 80, "node-7", zone_hints=("a",))
    far = Endpoint(ip("10.0.1.2"), 80, "node-8", zone_hints=("b",))
    table = ServiceTable([replace(port(1), endpoints=(near, far))])
    proxier.sync(node, None, table)
    assert "10.0.1.2" in node.xtables.save()
    proxier.update_node(view(zone="a"))
    report = proxier.sync(node, table, table)
    assert report.full
    assert "10.0.1.2" not in node.xtables.save()


# ------------------------------------------------------------------ sharing between nodes
def test_nodes_share_chains():
    dataplane = IptablesDataplane()
    nodes = [Node() for _ in range(3)]
    proxiers = [dataplane.on_node(view(n)) for n in (1, 2, 3)]
    old = ServiceTable([port(n) for n in range(1, 11)])
    for node, proxier in zip(nodes, proxiers, strict=True):
        proxier.sync(node, None, old)
    # Two changes, seen one by one or together, lead to the same objects.
    step = old.with_changes({port(3).name: port(3, ())})
    end = step.with_changes({port(20).name: port(20)})
    proxiers[0].sync(nodes[0], old, step)
    proxiers[0].sync(nodes[0], step, end)
    proxiers[1].sync(nodes[1], old, end)
    proxiers[2].sync(nodes[2], None, end)
    first, *others = (node.xtables.tables["nat"] for node in nodes)
    for other in others:
        assert all(other[name] is chain for name, chain in first.items() if name.startswith("KUBE-"))


def test_local_services_differ_between_nodes():
    dataplane = IptablesDataplane()
    table = ServiceTable([port(1, internal_policy=TrafficPolicy.LOCAL)])
    texts = []
    for number in (1, 2, 3):
        node = Node()
        dataplane.on_node(view(number)).sync(node, None, table)
        texts.append(node.xtables.save())
        assert texts[-1] == text_of_fresh(table, view(number))
    assert ["10.0.1.1:8080" in texts[0], "10.0.1.2:8080" in texts[1], "no local endpoints" in texts[2]] == [
        True
    ] * 3


def test_store_forgets_and_builds_again():
    dataplane = IptablesDataplane(remembered=2)
    table = ServiceTable([port(n) for n in range(1, 8)])
    node = Node()
    proxier = dataplane.on_node(view())
    proxier.sync(node, None, table)
    proxier.sync(node, None, table)
    assert node.xtables.save() == text_of_fresh(table, view())
    store = dataplane.fragments
    assert isinstance(store, FragmentStore)
    assert len(store._young) + len(store._old) <= 4


def test_common_chains_live_as_long_as_a_node_uses_them():
    dataplane, node = IptablesDataplane(), Node()
    proxier = dataplane.on_node(view())
    table = ServiceTable()
    for number in range(1, 6):
        new = table.with_changes({port(number).name: port(number)})
        proxier.sync(node, table, new)
        table = new
    gc.collect()
    assert len(dataplane.entries._known) == 1


# ------------------------------------------------------------------ settings
@pytest.mark.parametrize(
    ("detector", "expected"),
    [
        (LocalDetector(DetectLocal.NODE_CIDR, Prefix.parse("10.1.0.0/24")), "! -s 10.1.0.0/24"),
        (LocalDetector(DetectLocal.BRIDGE_INTERFACE, interface="cbr0"), "! -i cbr0"),
        (LocalDetector(DetectLocal.INTERFACE_NAME_PREFIX, interface="veth"), "! -i veth+"),
    ],
)
def test_local_detectors(detector, expected):
    text = text_of_fresh(ServiceTable([port(1)]), replace(view(), local_detector=detector))
    assert f"--dport 80 {expected} -j KUBE-MARK-MASQ" in text


def test_masquerade_mark_and_random_fully():
    node, table = Node(), ServiceTable([port(1)])
    config = IptablesConfig(masquerade_mark=0x8000, masquerade_random_fully=True)
    IptablesDataplane(config).on_node(view()).sync(node, None, table)
    text = node.xtables.save()
    assert "0x4000" not in text
    assert "MASQUERADE --random-fully" in text


def test_comments_go_in_large_clusters():
    config = IptablesConfig(large_cluster_endpoints=3)
    node, table = Node(), ServiceTable([port(1), port(2)])
    IptablesDataplane(config).on_node(view()).sync(node, None, table)
    text = node.xtables.save()
    assert "svc-1:http cluster IP" in text
    assert "->" not in text


@pytest.mark.parametrize(
    ("config", "family", "expected"),
    [
        (IptablesConfig(nfacct=True), 4, True),
        (IptablesConfig(nfacct=False), 4, False),
        (IptablesConfig(nfacct=True), 6, False),
    ],
)
def test_localhost_node_ports_are_counted(config, family, expected):
    node = Node()
    if family == 4:
        where, service = view(), port(1, node_port=30000)
    else:
        where = NodeView("node-1", ip("2001:db8::1"), (ip("2001:db8::1"),))
        found = (Endpoint(ip("fd00::1"), 80),)
        service = ServicePort(port(1).name, ip("fd00:172::1"), 80, 30000, endpoints=found)
    IptablesDataplane(config).on_node(where).sync(node, None, ServiceTable([service]))
    rules = node.xtables if family == 4 else node.ip6tables
    assert "30000" in rules.save()
    assert ("localhost_nps_accepted_pkts" in rules.save()) is expected


# ------------------------------------------------------------------ cost
def test_cost_of_700_000_lines():
    """Kubernetes issue 96018: 12.8 s for 695,992 lines; V20: a full sync takes 14-15 s, a partial one 3-5 s."""
    cost = SyncCost()
    assert cost.full(695_992, 0) == pytest.approx(12.8e9, rel=0.05)
    assert 2.5e9 < cost.partial(16_000, 680_000) < 5e9
    assert cost.partial(30, 100) < 0.1e9


@pytest.mark.parametrize(
    ("services", "ms"), [(1, 77), (1000, 1302), (5000, 6547), (10000, 9491), (20000, 20000)]
)
def test_cost_on_the_small_nodes_of_2019(services, ms):
    """V23, whose rows scatter by a quarter around the line."""
    assert SMALL_NODES_OF_2019.full(4 * services, services) == pytest.approx(ms * 1e6, rel=0.25)
