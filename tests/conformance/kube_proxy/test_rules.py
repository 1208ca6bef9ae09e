"""Rule dumps of upstream's kube-proxy tests: what `iptables-restore` is given, line by line."""

import difflib
from random import Random

from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.iptables_config import IptablesConfig
from netsim.dataplane.iptables_fixed import filter_chains, nat_chains
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import Endpoint, ServicePort, ServicePortName, ServiceTable
from netsim.kernel.matches_stateful import Statistic
from netsim.kernel.xtables import Xtables
from netsim.wire.addr import ip

NODE = NodeView("test-node", ip("192.168.0.2"))


def test_dump(history, step, build_world, translate):
    """Step `step` of a history, after the steps before it; a dump of mode partial comes from a partial sync."""
    world = build_world(history[0], sync=False)
    old, text = None, ""
    for dump in history[: step + 1]:
        new = (
            old.with_changes(_changes(old, translate(dump["objects"]))) if old else translate(dump["objects"])
        )
        report = world.proxier.sync(world.node, old if dump["mode"] == "partial" else None, new)
        assert report.full is not (dump["mode"] == "partial")
        old, text = new, report.script()
    expected = history[step]["lines"]
    got = text.splitlines()
    assert got == expected, "\n".join(difflib.unified_diff(expected, got, "expected", "got", lineterm=""))


def _changes(old, new):
    return {name: new.get(name) for name in (*old, *new) if old.get(name) != new.get(name)}


def test_snippet(snippet):
    """Single chains: every line is among ours, in its chain, in the same order."""
    wanted = [_plain(line) for line in snippet["lines"] if not line.startswith("*")]
    ours = [_plain(line) for line in _rules_for(snippet["id"]) if line.startswith("-A")]
    if snippet["chain"].startswith(("nat KUBE-SEP", "PREROUTING")):
        assert set(wanted) <= set(ours)
        for chain in {line.split()[1] for line in wanted}:
            kept = [line for line in ours if line.split()[1] == chain and line in wanted]
            assert kept == [line for line in wanted if line.split()[1] == chain]
    else:
        name = snippet["chain"].split()[1]
        assert [line for line in ours if line.split()[1] == name] == wanted


def _plain(line):
    return line.replace('"', "")


def _rules_for(name):
    """Our rules in the situation that a snippet describes."""
    liberal, nfacct, fully = "tcpLiberal true" in name, "nfacct true" in name, "randomFully true" in name
    config = IptablesConfig(nfacct=nfacct, conntrack_tcp_be_liberal=liberal, masquerade_random_fully=fully)
    if name == "jump rules as in TestTracePacket":
        return _after_sync(config, ServiceTable()).save().splitlines()
    if name == "TestSyncProxyRulesLargeClusterMode":
        return [*_small_cluster(config), *_large_cluster(config)]
    return [line for chain in (*nat_chains(config), *filter_chains(config, NODE)) for line in chain.lines()]


class _Node:
    def __init__(self):
        self.xtables = Xtables()
        self.random = Random(1)


def _after_sync(config, table):
    node = _Node()
    IptablesDataplane(config).on_node(NODE).sync(node, None, table)
    return node.xtables


def _port(service, name, number, endpoints):
    port = ServicePortName(f"ns{service}", f"svc{service}", name)
    return ServicePort(port, ip(f"172.30.0.4{service}"), number, endpoints=endpoints)


def _small_cluster(config):
    port = _port(1, "p80", 80, (Endpoint(ip("10.0.0.0"), 80),))
    return _after_sync(config, ServiceTable([port])).save().splitlines()


def _large_cluster(config):
    """Three Services of upstream's test, with more endpoints than the threshold."""
    many = tuple(Endpoint(ip(f"10.0.{i // 250}.{i % 250}"), 80) for i in range(1000))
    table = ServiceTable(
        [
            _port(1, "p80", 80, many),
            _port(3, "p8081", 8081, (Endpoint(ip("203.0.113.4"), 8081),)),
            _port(4, "p8082", 8082, (Endpoint(ip("10.4.0.1"), 8082),)),
        ]
    )
    return _after_sync(config, table).save().splitlines()


def test_probability(count, text):
    """`%.10f` of 1/n, as upstream prints it."""
    assert str(Statistic(1 / int(count))).endswith(f"--probability {text}")
