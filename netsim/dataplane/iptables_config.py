"""Settings of the iptables dataplane, and what a synchronisation costs.

Sources of the defaults: pkg/proxy/apis/config/v1alpha1/defaults.go, pkg/proxy/iptables/proxier.go of Kubernetes v1.33.
"""

from dataclasses import dataclass, field
from typing import Final


@dataclass(frozen=True, slots=True)
class SyncCost:
    """How long a synchronisation takes, in nanoseconds of simulated time.

    A full sync costs `full_ns` + `service_ns` per Service port + `line_ns` per line given to `iptables-restore`.
    A partial sync costs `partial_ns` + `line_ns` per line + `standing_ns` per rule that stands but was not written,
    since the kernel takes a table as a whole."""

    # V23 (500 nodes, 2019): 77 ms with one Service; most of it some twenty runs of `iptables` for the jump rules.
    full_ns: int = 80_000_000
    # V23 finds 1.0-1.3 ms per Service on 2019's small nodes; V20's 14-15 s is reached by the lines alone.
    service_ns: int = 0
    # Derived: one `iptables-save` and one `iptables-restore` of a small table; a partial sync skips the jump rules.
    partial_ns: int = 20_000_000
    # cost.iptables_restore_700k: 12.8 s for 695,992 lines (kubernetes issue 96018).
    line_ns: int = 18_000
    # Derived from V20: a partial sync of about 3-5 s beside a full one of 14-15 s (some 700,000 lines).
    standing_ns: int = 4_000

    def full(self, lines: int, ports: int) -> int:
        """Nanoseconds of a full sync."""
        return self.full_ns + self.service_ns * ports + self.line_ns * lines

    def partial(self, lines: int, standing: int) -> int:
        """Nanoseconds of a partial sync."""
        return self.partial_ns + self.line_ns * lines + self.standing_ns * standing


# V23: time to add one rule, 0.08 s + 1.0-1.3 ms per Service: kube-proxy of 2019, which knew full syncs only.
SMALL_NODES_OF_2019: Final = SyncCost(service_ns=1_000_000)


@dataclass(frozen=True, slots=True)
class IptablesConfig:
    """What is the same on every node."""

    # iptables.masqueradeBit 14.
    masquerade_mark: int = 0x4000
    # Used when the tool knows --random-fully (iptables 1.6.2 and later).
    masquerade_random_fully: bool = True
    # nfacct counters exist where the kernel has the module and kube-proxy may make them (KEP-2621 metrics, v1.32).
    nfacct: bool = False
    # nf_conntrack_tcp_be_liberal: with it kube-proxy leaves INVALID packets alone (conntrack.tcpBeLiberal).
    conntrack_tcp_be_liberal: bool = False
    # Above this many endpoints comments of endpoint rules are left out (largeClusterEndpointsThreshold).
    large_cluster_endpoints: int = 1000
    cost: SyncCost = field(default_factory=SyncCost)
