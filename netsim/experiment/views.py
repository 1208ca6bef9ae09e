"""What an administrator would see on a host at some moment, in the formats of Linux's own tools.

Called by `netsim get` and `Cluster.view`. Each view is a function from a namespace and the time to text; one that a
host does not have (a pod has no rules, an iptables node no ipvs table) is an empty text.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from netsim.kernel import ipset as ipsets
from netsim.kernel import ipvs_text

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

View = Callable[["Namespace", int], str]


def iptables(ns: "Namespace", now: int) -> str:
    """`iptables-save -c`, without its comment lines with date and version."""
    if ns.xtables is None:
        return ""
    _count(ns)
    return ns.xtables.save(counters=True, tool=True)


def nftables(ns: "Namespace", now: int) -> str:
    """`nft list ruleset`."""
    if ns.nft is None:
        return ""
    _count(ns)
    return ns.nft.list_ruleset(now)


def ipvs(ns: "Namespace", now: int) -> str:
    """`ipvsadm -Ln --stats`."""
    if ns.ipvs is None:
        return ""
    _count(ns)
    return ipvs_text.stats(ns.ipvs)


def ipset(ns: "Namespace", now: int) -> str:
    """`ipset list`."""
    return ipsets.listing(ns.xtables.ipsets.values()) if ns.xtables is not None else ""


def _count(ns: "Namespace") -> None:
    """Packets of established flows are counted when somebody looks."""
    if ns.conntrack is not None:
        ns.conntrack.settle()


def conntrack(ns: "Namespace", now: int) -> str:
    """`conntrack -L`."""
    return ns.conntrack.render(now) if ns.conntrack is not None else ""


def routes(ns: "Namespace", now: int) -> str:
    """`ip route`."""
    return ns.routes.render()


VIEWS: Final[Mapping[str, View]] = {
    "iptables": iptables,
    "nftables": nftables,
    "ipvs": ipvs,
    "ipset": ipset,
    "conntrack": conntrack,
    "routes": routes,
}
