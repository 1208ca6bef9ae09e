"""The network of `plan.py` in the real kernel: three namespaces, made once per address family and arranged for one case
after the other.

Next hops are fixed neighbours, so there is no ARP and no neighbour discovery to wait for. In `pods` and `outside` every
address is local for what comes in by their device, so that servers see whatever arrives, and as it arrives.
"""

from contextlib import ExitStack

from referee.namespaces import RealNamespace
from referee.place import Place
from referee.plan import DEVICES, NODE, OUTSIDE, PODS, Plan

_GATEWAY = {4: "169.254.0.1", 6: "fe80::1"}
_ANY = {4: "0.0.0.0/0", 6: "::/0"}
_MACS = {
    "pod0": "02:00:00:00:01:01",
    "eth0": "02:00:00:00:02:01",
    PODS: "02:00:00:00:01:02",
    OUTSIDE: "02:00:00:00:02:02",
}
_EVERYWHERE_V4 = {
    "all__rp_filter": 0,
    "default__rp_filter": 0,
    "all__send_redirects": 0,
    "default__send_redirects": 0,
}
_EVERYWHERE_V6 = {"default__accept_dad": 0, "default__router_solicitations": 0, "all__disable_ipv6": 0}
_OURS = 77  # the routing protocol that marks the routes of a case


class RealNetwork:
    """To be closed, which takes the namespaces away again."""

    def __init__(self, family: int) -> None:
        self.family = family
        self._stack = ExitStack()
        self.ns = {role: self._stack.enter_context(RealNamespace(role)) for role in (NODE, PODS, OUTSIDE)}
        try:
            self._build()
            self.places = {role: self._place(role) for role in self.ns}
        except BaseException:
            self._stack.close()
            raise

    @property
    def node(self) -> RealNamespace:
        """The node's namespace."""
        return self.ns[NODE]

    def _build(self) -> None:
        for ns in self.ns.values():
            v4 = {f"ipv4__conf__{key}": value for key, value in _EVERYWHERE_V4.items()}
            v6 = {f"ipv6__conf__{key}": value for key, value in _EVERYWHERE_V6.items()}
            ns.sysctl(**v4, **v6)
        for role, device in DEVICES.items():
            self._cable(device.name, role)
        # ICMP errors are not rationed, as in the simulator.
        self.node.sysctl(ipv4__icmp_ratelimit=0, ipv6__icmp__ratelimit=0)
        self.node.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.node.ip(self.family, f"route add default via {_GATEWAY[self.family]} dev eth0 onlink")

    def _cable(self, device: str, role: str) -> None:
        """A veth pair between the node's device and `up0` of another place, where every address is local."""
        node, other, family = self.node, self.ns[role], self.family
        gateway, mine, theirs = _GATEWAY[family], _MACS[device], _MACS[role]
        nodad = " nodad" if family == 6 else ""
        node.ip(
            family,
            "link set lo up",
            f"link add {device} address {mine} type veth peer name up0 address {theirs} netns {other.name}",
            f"link set {device} up",
            f"address add {DEVICES[role].address(family)} dev {device}{nodad}",
            f"neigh add {gateway} lladdr {theirs} dev {device} nud permanent",
        )
        other.ip(
            family,
            "link set lo up",
            "link set up0 up",
            f"neigh add {gateway} lladdr {mine} dev up0 nud permanent",
            f"route add default via {gateway} dev up0 onlink",
            f"route add local {_ANY[family]} dev lo table 100",
            "rule add iif up0 lookup 100",
        )

    def _place(self, role: str) -> Place:
        place = Place(role, self.ns[role], self.family, "lo" if role == NODE else "up0")
        self._stack.callback(place.close)
        return place

    def arrange(self, plan: Plan) -> None:
        """The addresses, routes and servers of a plan; no rules, nothing remembered of earlier connections."""
        self.node.run("nft", "flush", "ruleset")
        self.node.run("conntrack", "-F")
        self.node.sysctl(ipv4__conf__all__route_localnet=int(plan.localnet))
        nodad = " nodad" if self.family == 6 else ""
        onlink = f"via {_GATEWAY[self.family]} dev pod0 onlink proto {_OURS}"
        self.node.ip(
            self.family,
            "address flush dev lo scope global",
            f"route flush proto {_OURS}",
            *(f"address add {address} dev lo{nodad}" for address in plan.node),
            *(f"route add {pod} {onlink}" for pod in sorted(plan.pods)),
        )
        for place in self.places.values():
            place.serve(plan.ports)

    def close(self) -> None:
        """Remove the namespaces."""
        self._stack.close()
