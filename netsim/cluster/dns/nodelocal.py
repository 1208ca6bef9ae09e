"""NodeLocal DNSCache: a caching CoreDNS in the node's own namespace at 169.254.20.10, past conntrack.

Made by `experiment/build_dns.py`, one per node (`dns: {nodeLocal: true}`); the kubelet then writes that address into
the pods' resolv.conf (--cluster-dns). Sources: kubernetes cluster/addons/dns/nodelocaldns/nodelocaldns.yaml (the form
for kube-proxy in IPVS mode, which works in every mode: only the link-local address, kube-dns's ClusterIP upstream),
kubernetes/dns cmd/node-cache/app/cache_app.go (the rules), KEP-1024.

Why it cures the lookups that take 5 s: a pod's queries are NOTRACK, so no two of them race for a conntrack entry
(`netsim.kernel.clash`); the cache asks kube-dns over TCP (`force_tcp`), whose lost packets are repeated within a
second.
Simplified: a process of the node instead of a DaemonSet's pod with hostNetwork; never upgraded, so that the address is
never without a server.
"""

from typing import Final

from netsim.cluster.dns.build import Surroundings, build
from netsim.cluster.dns.exchange import HostExchanger
from netsim.cluster.dns.forward import KEPT_NS
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.dns.world import World
from netsim.fabric.host import NodeHost
from netsim.kernel.netns import Device
from netsim.wire.addr import ip
from netsim.wire.dns_codec import DnsCodec

ADDRESS: Final = "169.254.20.10"
INTERFACE: Final = "nodelocaldns"
_COREFILE: Final = """{domain}:53 {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    reload
    loop
    bind {local}
    forward . {cluster_dns} {{
        force_tcp
    }}
    prometheus :9253
}}
in-addr.arpa:53 {{
    errors
    cache 30
    reload
    loop
    bind {local}
    forward . {cluster_dns} {{
        force_tcp
    }}
    prometheus :9253
}}
ip6.arpa:53 {{
    errors
    cache 30
    reload
    loop
    bind {local}
    forward . {cluster_dns} {{
        force_tcp
    }}
    prometheus :9253
}}
.:53 {{
    errors
    cache 30
    reload
    loop
    bind {local}
    forward . /etc/resolv.conf
    prometheus :9253
}}
"""
_RULES: Final = """*raw
-A PREROUTING -d {local}/32 -p udp -m udp --dport 53 -j NOTRACK
-A PREROUTING -d {local}/32 -p tcp -m tcp --dport 53 -j NOTRACK
-A OUTPUT -s {local}/32 -p udp -m udp --sport 53 -j NOTRACK
-A OUTPUT -s {local}/32 -p tcp -m tcp --sport 53 -j NOTRACK
-A OUTPUT -d {local}/32 -p udp -m udp --dport 53 -j NOTRACK
-A OUTPUT -d {local}/32 -p tcp -m tcp --dport 53 -j NOTRACK
COMMIT
*filter
-A INPUT -d {local}/32 -p udp -m udp --dport 53 -j ACCEPT
-A INPUT -d {local}/32 -p tcp -m tcp --dport 53 -j ACCEPT
-A OUTPUT -s {local}/32 -p udp -m udp --sport 53 -j ACCEPT
-A OUTPUT -s {local}/32 -p tcp -m tcp --sport 53 -j ACCEPT
COMMIT
"""


class NodeLocalCache(DnsServer):
    """The cache of one node."""

    def __init__(self, node: NodeHost, cluster_dns: str, domain: str, node_conf: ResolvConf) -> None:
        super().__init__(node, {}, DnsCodec(), stream=f"node-local-dns/{node.name}")
        self._text = _COREFILE.format(domain=domain, local=ADDRESS, cluster_dns=cluster_dns)
        self._conf = node_conf

    def start(self, now: int) -> None:
        """Make the interface and the rules, then listen."""
        self.running = True
        ns = self.host.ns
        interface = Device(ns, INTERFACE, bytes(6))
        ns.add_device(interface)
        ns.add_address(ip(ADDRESS), interface)
        assert ns.xtables is not None
        ns.xtables.restore(_RULES.format(local=ADDRESS))
        exchanger = HostExchanger(self.host, self, self.rng, KEPT_NS)
        around = Surroundings(World(), self.codec, self.rng, exchanger, (ADDRESS,), self._conf)
        made = build(self._text, around)
        self.listen(made.ports, made.binds)
