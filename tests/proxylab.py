"""The dataplanes that the cases are asked of, and where they must differ.

Upstream tests each backend with cases of its own, but nearly all of what they say holds for every backend. A case is
asked of all `DATAPLANES`; where backends differ by design, `expected` says so, by rule (numbers are those of the data's
README), never by the name of a case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netsim.dataplane.base import NodeDataplane
from netsim.dataplane.iptables import IptablesDataplane
from netsim.dataplane.iptables_config import IptablesConfig
from netsim.dataplane.nftables import NftablesDataplane
from netsim.dataplane.nftables_config import NftablesConfig
from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import PROTOCOL_NUMBERS, ServicePort, ServiceTable
from netsim.kernel.xtables_outcomes import Steps
from netsim.wire.addr import Prefix, ip

Expected = tuple[str | list[str], bool]  # output, whether the source is rewritten
Flow = Mapping[str, Any]
NOTHING: Expected = ("", False)


@dataclass(frozen=True)
class Question:
    """A flow of a case, and what the case's world is."""

    proxier: Mapping[str, Any]
    table: ServiceTable
    flow: Flow

    @property
    def dest(self) -> bytes:
        return ip(self.flow["destIP"])

    @property
    def on_cluster_ip(self) -> bool:
        """The destination is the clusterIP of some Service."""
        return any(port.cluster_ip == self.dest for port in self.table.values())

    @property
    def on_loopback(self) -> bool:
        return self.dest[0] == 127 if len(self.dest) == 4 else self.dest == ip("::1")

    @property
    def asked(self) -> list[ServicePort]:
        """The Service ports that the packet asks for by an address."""
        number, proto = self.flow["destPort"], PROTOCOL_NUMBERS[self.flow["protocol"]]
        return [
            port
            for port in self.table.values()
            if port.port == number
            and PROTOCOL_NUMBERS[port.protocol] == proto
            and self.dest in (port.cluster_ip, *port.external_ips, *port.vips)
        ]

    @property
    def blocked(self) -> bool:
        """The source is outside the ranges of the load balancer that is asked for (12)."""
        return any(self.dest in port.vips and self._keeps_out(port) for port in self.asked)

    def _keeps_out(self, port: ServicePort) -> bool:
        source, node = ip(self.flow["sourceIP"]), ip(self.proxier["nodeIP"])
        ranges = port.load_balancer_source_ranges
        own = source in port.vips and any(prefix.contains(node) for prefix in ranges)
        return bool(ranges) and not own and not any(prefix.contains(source) for prefix in ranges)

    @property
    def hopeless(self) -> bool:
        """What is asked for has no usable endpoint on any node."""
        endpoints = [endpoint for port in self.asked for endpoint in port.endpoints]
        return not any(e.ready or e.usable_when_nothing_is_ready for e in endpoints)

    @property
    def unallocated(self) -> bool:
        """The destination is in a service CIDR, but no Service has it."""
        cidrs = self.proxier.get("serviceCIDRs") or ""
        inside = any(Prefix.parse(cidr).contains(self.dest) for cidr in cidrs.split(",") if cidr)
        return inside and not self.on_cluster_ip


def without_checks(question: Question, said: Expected) -> Expected:
    """What is said of nftables, for a backend that does not check what no Service serves (10)."""
    if question.unallocated or (question.on_cluster_ip and not question.asked):
        return NOTHING
    if said[0] == "DROP" and question.blocked and question.hopeless:
        return "REJECT", False  # the endpoints are asked before the firewall (12)
    return said


def with_checks(question: Question, said: Expected) -> Expected:
    """What is said of iptables, for nftables."""
    if question.on_loopback or said[0] == "ACCEPT":
        return (
            NOTHING  # nodePorts never answer on loopback (13); nothing accepts health checks expressly (14)
        )
    if said[0] == "" and question.on_cluster_ip:
        return "REJECT", False  # a port that no Service has (10)
    if said[0] == "REJECT" and question.blocked:
        return "DROP", False  # the firewall is asked before the endpoints (12)
    return said


@dataclass(frozen=True)
class Backend:
    """How a dataplane is made for a case, and which chains upstream's tracer of it goes through, whichever hook the
    packet would meet (None: the hooks say). `adapt` turns what a case of another backend says into what this one
    does."""

    make: Callable[[Mapping[str, Any], NodeView], NodeDataplane[Any]]
    tracer_steps: Steps | None
    adapt: Callable[[Question, Expected], Expected]


def _iptables(proxier: Mapping[str, Any], view: NodeView) -> NodeDataplane[Any]:
    config = IptablesConfig(nfacct=proxier.get("nfacct", False), masquerade_random_fully=False)
    return IptablesDataplane(config).on_node(view)


def _nftables(proxier: Mapping[str, Any], view: NodeView) -> NodeDataplane[Any]:
    cidrs = (proxier.get("serviceCIDRs") or "").split(",")
    config = NftablesConfig(service_cidrs=tuple(Prefix.parse(cidr) for cidr in cidrs if cidr))
    return NftablesDataplane(config).on_node(view)


def _nft(*chains: str) -> Steps:
    return tuple(("ip kube-proxy", chain) for chain in chains)


DATAPLANES: Mapping[str, Backend] = {
    "iptables": Backend(
        _iptables,
        (
            ("nat", "PREROUTING"),
            ("filter", "KUBE-SERVICES"),
            ("filter", "KUBE-EXTERNAL-SERVICES"),
            ("filter", "KUBE-NODEPORTS"),
            ("filter", "KUBE-PROXY-FIREWALL"),
            ("nat", "POSTROUTING"),
        ),
        without_checks,
    ),
    "nftables": Backend(
        _nftables,
        _nft(
            "filter-prerouting-pre-dnat", "nat-prerouting", "filter-forward", "filter-input", "nat-postrouting"
        ),
        with_checks,
    ),
}  # fmt: skip


def expected(backend: str, question: Question) -> Expected:
    """What a backend must do with a flow."""
    flow = question.flow["expect"]
    said = flow["output"], flow["masq"]
    if question.proxier["backend"] == backend:
        return said
    return DATAPLANES[backend].adapt(question, said)
