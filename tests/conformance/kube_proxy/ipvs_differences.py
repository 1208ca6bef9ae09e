"""Where the ipvs mode does something else than the iptables and nftables modes, whose rows the flows are.

`expectation` gives what ipvs is to do with a flow: upstream's row, unless one of these differences applies. Each
follows from pkg/proxy/ipvs/proxier.go (`syncEndpoint`, `writeIptablesRules`) of Kubernetes v1.33:

- `loopback`: nodePorts are virtual servers on the node's addresses, never on 127.0.0.1 or ::1;
- `wrong port`: a service address is local, so a port without a Service is refused (KUBE-IPVS-FILTER), not passed on;
- `unallocated`: nothing is known of the service CIDRs, so an address without a Service is passed on;
- `source ranges`: the firewall is asked in INPUT, before IPVS could say that there are no endpoints;
- `local policy`: one virtual server has one list of real servers, so pods and the node get the local endpoints like
  everybody else, nobody is masqueraded for being the node, and without local endpoints everybody gets all of them (pull
  request 97081); a clusterIP of policy Local without any other way in has none then, and is refused;
- `hairpin`: KUBE-LOOP-BACK knows the node's own endpoints only: a pod elsewhere cannot meet itself here.
"""

from dataclasses import dataclass
from typing import Any

from conformance.kube_proxy.ipvs_world import Answer, IpvsWorld

from netsim.dataplane.endpoints import Reach, reach
from netsim.dataplane.service_table import Endpoint, ServicePort
from netsim.wire.addr import ip


@dataclass
class Asked:
    """A flow and what it is about: `kind` says by which kind of address a port was found, "" for none."""

    world: IpvsWorld
    flow: dict[str, Any]
    port: ServicePort | None
    kind: str

    @property
    def source(self) -> bytes:
        return ip(self.flow["sourceIP"])

    @property
    def from_pod(self) -> bool:
        detector = self.world.view.local_detector
        return detector is not None and detector.prefix is not None and detector.prefix.contains(self.source)

    @property
    def local_policy(self) -> bool:
        assert self.port is not None
        return self.port.internal_local if self.kind == "clusterIP" else self.port.external_local

    @property
    def reach(self) -> Reach:
        assert self.port is not None
        return reach(self.port, self.world.view)

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """What the virtual server is to have."""
        return (self.reach.local if self.local_policy else ()) or self.reach.cluster


def expectation(world: IpvsWorld, flow: dict[str, Any]) -> tuple[str, Answer]:
    """The name of the difference, "" for none, and what is expected."""
    row = flow["expect"]["output"], flow["expect"]["masq"]
    output: Any = sorted(row[0]) if isinstance(row[0], list) else "" if row[0] == "ACCEPT" else row[0]
    asked = _asked(world, flow)
    loopback = world.view.loopback
    if loopback.contains(asked.source) or loopback.contains(ip(flow["destIP"])):
        return "loopback", ("", False)
    if asked.port is None:
        bound = world.ns.addresses.get(ip(flow["destIP"])) is world.ns.devices["kube-ipvs0"]
        if bound:
            return "wrong port", ("REJECT", False)
        return ("unallocated" if output == "DROP" else ""), ("", row[1])
    if asked.kind == "vip" and asked.port.load_balancer_source_ranges and not _admitted(asked):
        return "source ranges", ("DROP", False)
    if asked.local_policy:
        return "local policy", _served(asked)
    picked = {endpoint.address for endpoint in asked.endpoints}
    return ("hairpin" if asked.source in picked else ""), (
        _served(asked) if asked.source in picked else (output, row[1])
    )


def _asked(world: IpvsWorld, flow: dict[str, Any]) -> Asked:
    where = ip(flow["destIP"])
    own = {world.view.primary_ip, *world.view.addresses}
    allowed = world.view.node_port_ips
    for port in world.table.values():
        if port.protocol != flow["protocol"]:
            continue
        kinds = {"clusterIP": (port.cluster_ip,), "externalIP": port.external_ips, "vip": port.vips}
        for kind, addresses in kinds.items():
            if where in addresses and port.port == flow["destPort"]:
                return Asked(world, flow, port, kind)
        served = own if allowed is None else own.intersection(allowed)
        if port.node_port == flow["destPort"] and where in served:
            return Asked(world, flow, port, "nodePort")
    return Asked(world, flow, None, "")


def _admitted(asked: Asked) -> bool:
    port, view = asked.port, asked.world.view
    assert port is not None
    ranges = port.load_balancer_source_ranges
    if (
        asked.source in port.vips
    ):  # on the node the address of the service is what routing chooses as the source
        return any(prefix.contains(view.primary_ip) for prefix in ranges)
    # What the node sends from an address of its own does not pass INPUT.
    return asked.world.ns.is_local(asked.source) or any(prefix.contains(asked.source) for prefix in ranges)


def _served(asked: Asked) -> Answer:
    """By the virtual server's list and the rules for masquerading."""
    if not asked.endpoints:
        return "REJECT", False
    node = asked.world.view
    everywhere = asked.port.endpoints if asked.port is not None else ()
    hairpin = any(e.node == node.name and e.address == asked.source for e in everywhere)
    chosen = hairpin and any(e.address == asked.source for e in asked.endpoints)
    if asked.kind == "clusterIP":
        masq = node.masquerade_all or (node.local_detector is not None and not asked.from_pod)
    else:
        masq = not asked.local_policy
    return sorted(str(endpoint) for endpoint in dict.fromkeys(asked.endpoints)), masq or chosen
