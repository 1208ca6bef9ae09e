"""What changed between releases of Linux, as far as it changes what happens to a packet.

Called by: `clash`, `ipvs`, `ipvs_hooks`, the ipvs dataplane, the assembly (`experiment/settings.py`) and
`netsim describe versions`. Sources stand with each row; "F:" is a row of the project's collection of timing facts.
"""

from collections.abc import Mapping
from typing import Any, Final

from netsim.engine.switches import Release, Switch, by_name

_EVER: Final = (0, 0)

SWITCHES: Final[Mapping[str, Switch]] = by_name((
    Switch(
        "tcp_syn_linear_timeouts",
        "SYNs that follow each other after 1 s before the wait doubles (0: 1, 2, 4 s...)",
        ((_EVER, 0), ((6, 5), 4)),
        "Documentation/networking/ip-sysctl.rst, tcp_syn_linear_timeouts; F:tcp.syn_linear_timeouts",
        component="TCP",
    ),
    Switch(
        "nf_conntrack.clash",
        "two first packets of one UDP flow: dropped, resolved if NAT chose the same, or the answer alone inserted",
        ((_EVER, "none"), ((5, 0), "equal"), ((5, 7), "harder")),
        "ed07d9a021df, 6a757c07e51f (net/netfilter/nf_conntrack_core.c, nf_ct_resolve_clash)",
        component="conntrack",
    ),
    Switch(
        "ipvs.conn_reuse_mode",
        "kube-proxy sets net.ipv4.vs.conn_reuse_mode to 0, since a reused port cost a second",
        (((0, 0), False), ((4, 1), True), ((5, 9), False)),
        "pkg/util/kernel/constants.go (IPVSConnReuseModeMinSupportedKernelVersion, ...FixedKernelVersion)",
        component="ipvs",
    ),
    Switch(
        "ipvs.reused_port",
        "a SYN on a port that conntrack has just been told of goes on instead of being dropped",
        ((_EVER, False), ((5, 9), True)),
        "net/netfilter/ipvs/ip_vs_core.c (ip_vs_in; ip_vs_conn_uses_old_conntrack)",
        component="ipvs",
    ),
    Switch(
        "ipvs.expire_nodest_conn",
        "connections of a real server that was deleted are flushed at once",
        ((_EVER, False), ((5, 9), True)),
        "net/netfilter/ipvs/ip_vs_ctl.c (expire_nodest_conn_work)",
        component="ipvs",
    ),
    Switch(
        "ipvs.quiesced_reuse",
        "a reused port of a server with weight 0 is scheduled anew, whatever conn_reuse_mode is",
        ((_EVER, False), ((5, 16), True)),
        "net/netfilter/ipvs/ip_vs_core.c (ip_vs_in)",
        component="ipvs",
    ),
))  # fmt: skip


def value(name: str, release: Release) -> Any:
    """What a release does."""
    return SWITCHES[name].at(release)


def since(name: str) -> Release:
    """When it came."""
    return SWITCHES[name].since
