"""Masquerade for what leaves the pod network, shared by the CNI plug-ins (`--ip-masq`, kindnet's ip-masq agent)."""

from typing import TYPE_CHECKING

from netsim.kernel.matches import Destination, Source
from netsim.kernel.targets import RETURN, Jump, Masquerade
from netsim.kernel.xtables_chain import Chain, Rule

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace
    from netsim.wire.addr import Prefix

CHAIN = "CNI-MASQ"


def masquerade_outside(ns: "Namespace", pods: "Prefix") -> None:
    """Pods' connections to addresses outside the pod network take the node's address."""
    xtables = ns.iptables_for(pods.address)
    assert xtables is not None
    inside = Rule((Destination(pods),), RETURN)
    xtables.commit("nat", [Chain(CHAIN, (inside, Rule((), Masquerade())))])
    xtables.ensure_rule("nat", "POSTROUTING", Rule((Source(pods),), Jump(CHAIN)), append=True)
    ns.changed()
