"""Settings of the ipvs dataplane, and what a synchronisation costs.

Sources: pkg/proxy/apis/config/v1alpha1/defaults.go, pkg/proxy/ipvs/proxier.go of Kubernetes v1.33.
"""

from dataclasses import dataclass, field

from netsim.wire.addr import Prefix


@dataclass(frozen=True, slots=True)
class IpvsSyncCost:
    """How long a synchronisation takes, in nanoseconds of simulated time: a change of one Service port costs
    `change_ns` + `standing_ns` per port that there is; a synchronisation without any costs as much as one change."""

    # V23 ("time to add one rule", ipvs, 2019): 0.8 ms with one Service, 0.85 ms with 1,000, 0.97 ms with 10,000,
    # 1.0 ms with 15,000 (1.5 ms with 20,000). V22 has 2 ms, whatever the number.
    change_ns: int = 800_000
    standing_ns: int = 20

    def sync(self, changes: int, standing: int) -> int:
        """Nanoseconds of a synchronisation."""
        return max(1, changes) * (self.change_ns + self.standing_ns * standing)


@dataclass(frozen=True, slots=True)
class IpvsConfig:
    """What is the same on every node. Time-outs of 0 leave the kernel's. `access_filter` is the chain KUBE-IPVS-FILTER
    (since 1.27, issue 72236), `node_access_filter` KUBE-IPVS-OUT-FILTER (since 1.29, issue 119656)."""

    scheduler: str = "rr"
    strict_arp: bool = False
    exclude_cidrs: tuple[Prefix, ...] = ()
    tcp_timeout_ns: int = 0
    tcp_fin_timeout_ns: int = 0
    udp_timeout_ns: int = 0
    # iptables.masqueradeBit 14: the ipvs mode reads the settings of the iptables section for it.
    masquerade_mark: int = 0x4000
    masquerade_random_fully: bool = True
    kernel: tuple[int, int] = (6, 8)
    access_filter: bool = True
    node_access_filter: bool = True
    cost: IpvsSyncCost = field(default_factory=IpvsSyncCost)
