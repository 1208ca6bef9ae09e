"""The pod networks' own iptables rules: masquerade for what leaves them (`--ip-masq`), and flannel's chains.

`masquerade_outside` is what kindnet's ip-masq agent does; `flannel_rules` are those of flanneld
(pkg/trafficmngr/iptables/iptables.go, masqRules and forwardRules), which it inserts at the top when it starts;
kube-proxy then puts its own before them.
"""

from typing import TYPE_CHECKING

from netsim.kernel.matches import Comment, Destination, Mark, Match, Source
from netsim.kernel.targets import ACCEPT, RETURN, Jump, Masquerade, Target
from netsim.kernel.xtables_chain import Chain, Rule
from netsim.wire.addr import Prefix, ip

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

CHAIN = "CNI-MASQ"


def masquerade_outside(ns: "Namespace", pods: "Prefix") -> None:
    """Pods' connections to addresses outside the pod network take the node's address."""
    xtables = ns.iptables_for(pods.address)
    assert xtables is not None
    inside = Rule((Destination(pods),), RETURN)
    xtables.commit("nat", [Chain(CHAIN, (inside, Rule((), Masquerade())))])
    xtables.ensure_rule("nat", "POSTROUTING", Rule((Source(pods),), Jump(CHAIN)), append=True)
    ns.changed()


_KUBE_PROXY_MARK = 0x4000
_MULTICAST = Prefix(ip("224.0.0.0"), 4)


def flannel_rules(ns: "Namespace", node_pods: Prefix, pods: Prefix) -> None:
    """FLANNEL-POSTRTG and FLANNEL-FWD of a node that has `node_pods` of the network `pods`."""
    assert ns.xtables is not None
    comment = Comment("flanneld masq")

    def masq(target: Target, *matches: Match) -> Rule:
        return Rule((*matches, comment), target)

    post = (
        masq(RETURN, Mark(_KUBE_PROXY_MARK, _KUBE_PROXY_MARK)),
        masq(RETURN, Source(node_pods), Destination(pods)),
        masq(RETURN, Source(pods), Destination(node_pods)),
        masq(RETURN, Source(pods, negated=True), Destination(node_pods)),
        masq(Masquerade(random_fully=True), Source(pods), Destination(_MULTICAST, negated=True)),
        masq(Masquerade(random_fully=True), Source(pods, negated=True), Destination(pods)),
    )
    forward = Comment("flanneld forward")
    accept = (Rule((Source(pods), forward), ACCEPT), Rule((Destination(pods), forward), ACCEPT))
    ns.xtables.commit("nat", [Chain("FLANNEL-POSTRTG", post)])
    ns.xtables.commit("filter", [Chain("FLANNEL-FWD", accept)])
    ns.xtables.ensure_rule("nat", "POSTROUTING", Rule((comment,), Jump("FLANNEL-POSTRTG")))
    ns.xtables.ensure_rule("filter", "FORWARD", Rule((forward,), Jump("FLANNEL-FWD")))
    ns.changed()
