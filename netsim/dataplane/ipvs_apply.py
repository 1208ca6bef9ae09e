"""Writing into a node's kernel what the ipvs mode wants: `Applier`, used for one synchronisation.

The counterpart of pkg/proxy/ipvs/proxier.go's calls of util/ipvs, util/ipset, netlink and iptables (Kubernetes v1.33).
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from netsim.dataplane import ipvs_sets
from netsim.dataplane.ipvs_config import IpvsConfig
from netsim.dataplane.ipvs_graceful import GracefulTermination
from netsim.dataplane.ipvs_plan import Server, SetMember
from netsim.kernel import releases
from netsim.kernel.ipvs import Ipvs
from netsim.kernel.ipvs_hooks import enable_ipvs
from netsim.kernel.ipvs_service import ServiceKey
from netsim.kernel.matches_set import SetMatch
from netsim.kernel.netns import Device
from netsim.kernel.xtables import Xtables
from netsim.kernel.xtables_chain import Table
from netsim.wire.addr import Address

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

DEVICE: Final = "kube-ipvs0"


class Applier:
    """One synchronisation of one namespace."""

    def __init__(
        self, ns: "Namespace", config: IpvsConfig, graceful: GracefulTermination, ipv6: bool
    ) -> None:
        xtables = ns.ip6tables if ipv6 else ns.xtables
        assert xtables is not None
        self.ns, self.config, self.graceful, self.ipv6 = ns, config, graceful, ipv6
        self.xtables: Xtables = xtables
        self.ipvs: Ipvs = enable_ipvs(ns)

    def set_up(self) -> None:
        """What NewProxier and the start of each sync see to: kernel settings, the device, the sets."""
        config, ipvs = self.config, self.ipvs
        mode = ipvs.sysctl.conn_reuse_mode
        if releases.value("ipvs.conn_reuse_mode", config.kernel):
            mode = 0
        ipvs.sysctl = replace(
            ipvs.sysctl,
            conntrack=True,
            conn_reuse_mode=mode,
            expire_nodest_conn=True,
            expire_quiescent_template=True,
            release=config.kernel,
        )
        if config.strict_arp:  # arp_announce 2 is how `send_arp` chooses its address anyway
            self.ns.sysctl = replace(self.ns.sysctl, arp_ignore=1)
        ipvs.timeouts.set(config.tcp_timeout_ns, config.tcp_fin_timeout_ns, config.udp_timeout_ns)
        if DEVICE not in self.ns.devices:
            mac = b"\x02" + sha256(f"{self.ns.name}/{DEVICE}".encode()).digest()[:5]
            self.ns.add_device(Device(self.ns, DEVICE, mac))
        for info in ipvs_sets.INFO:
            created = ipvs_sets.create(info, self.ipv6)
            self.xtables.ipsets.setdefault(created.type.name, created)

    # ------------------------------------------------------------------ ipvsadm
    def server(self, server: Server, initial: bool) -> None:
        """syncService and syncEndpoint."""
        key = server.virtual.key
        standing = self.ipvs.services.get(key)
        if standing is None:
            standing = self.ipvs.add_service(server.virtual)
        elif standing.server != server.virtual:
            self.ipvs.edit_service(server.virtual)
        there = standing.by_key
        for real in server.real:
            if real in there:
                if initial and there[real].weight != 1:
                    self.ipvs.edit_dest(key, real, 1)
                if (key, real) not in self.graceful:
                    continue
                self.graceful.move_out(self.ipvs, key, real)
            self.ipvs.add_dest(key, real)
        if len(there) > len(server.real):
            wanted = set(server.real)
            for real in [real for real in there if real not in wanted]:
                if (key, real) not in self.graceful:
                    self.graceful.delete(self.ipvs, key, real)

    def clean(self, touched: Iterable[ServiceKey], wanted: Mapping[ServiceKey, int], full: bool) -> None:
        """cleanLegacyService: virtual servers that no Service has any more; in a full sync whoever made them, except
        in excludeCIDRs."""
        length = 16 if self.ipv6 else 4
        candidates = (
            list(self.ipvs.services) if full else [key for key in touched if key in self.ipvs.services]
        )
        for key in dict.fromkeys(candidates):
            excluded = any(prefix.contains(key.address) for prefix in self.config.exclude_cidrs)
            if not wanted.get(key) and not excluded and len(key.address) == length:
                self.ipvs.delete_service(key)

    # ------------------------------------------------------------------ ipset, iptables, ip address
    def members(self, touched: Mapping[SetMember, None], wanted: Mapping[SetMember, int], full: bool) -> None:
        """syncIPSetEntries, and KUBE-IPVS-IPS apart (see `addresses`)."""
        for name, member in touched:
            found = self.xtables.ipsets[ipvs_sets.set_name(name, self.ipv6)]
            if wanted.get((name, member), 0) > 0:
                found.add(member)
            else:
                found.remove(member)
        if full:
            for info in ipvs_sets.INFO:
                if info.name != ipvs_sets.IPVS_IPS:
                    found = self.xtables.ipsets[ipvs_sets.set_name(info.name, self.ipv6)]
                    for member in [m for m in found.members if not wanted.get((info.name, m))]:
                        found.remove(member)

    def rules(self, tables: tuple[Table, Table]) -> None:
        """`iptables-restore --noflush`."""
        for table in tables:
            self.xtables.commit(table.name, table.chains.values(), table.deleted)
        rules = (r for table in tables for chain in table.chains.values() for r in chain.rules)
        references = Counter(m.name for rule in rules for m in rule.matches if isinstance(m, SetMatch))
        for name, found in self.xtables.ipsets.items():
            found.references = references[name]

    def addresses(self, touched: Iterable[Address], wanted: Mapping[Address, int], full: bool) -> None:
        """Addresses of kube-ipvs0, and the set of them."""
        device = self.ns.devices[DEVICE]
        bound = self.xtables.ipsets[ipvs_sets.set_name(ipvs_sets.IPVS_IPS, self.ipv6)]
        candidates = dict.fromkeys(touched)
        if full:
            candidates |= {a: None for a, owner in self.ns.addresses.items() if owner is device}
        for address in candidates:
            if wanted.get(address, 0) > 0:
                bound.add(ipvs_sets.bound(address))
                if address not in self.ns.addresses:
                    self.ns.add_address(address, device)
            else:
                bound.remove(ipvs_sets.bound(address))
                if self.ns.addresses.get(address) is device:
                    self.ns.remove_address(address)
