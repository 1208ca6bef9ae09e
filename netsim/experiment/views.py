"""What an administrator would see on a host at some moment, in the formats of Linux's own tools.

Called by `netsim get` and `Cluster.view`. Each view is a function from a namespace and the time to text; one that a
host does not have (a pod has no rules, an iptables node no ipvs table) is an empty text, as the tool would print.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

View = Callable[["Namespace", int], str]


def iptables(ns: "Namespace", now: int) -> str:
    """`iptables-save -c`, without its comment lines with date and version."""
    if ns.xtables is None:
        return ""
    if ns.conntrack is not None:
        ns.conntrack.settle()  # packets of established flows are counted when somebody looks
    return ns.xtables.save(counters=True, tool=True)


def conntrack(ns: "Namespace", now: int) -> str:
    """`conntrack -L`."""
    return ns.conntrack.render(now) if ns.conntrack is not None else ""


def routes(ns: "Namespace", now: int) -> str:
    """`ip route`."""
    return ns.routes.render()


VIEWS: Final[Mapping[str, View]] = {"iptables": iptables, "conntrack": conntrack, "routes": routes}
