"""Settings of the nftables dataplane, and what a synchronisation costs.

Sources of the defaults: pkg/proxy/apis/config/v1alpha1/defaults.go, pkg/proxy/nftables/proxier.go of Kubernetes v1.34.
"""

from dataclasses import dataclass, field
from math import isqrt
from typing import Final

from netsim.wire.addr import Prefix

# kp.modeStatus: alpha in 1.29 (KEP-3866), GA in 1.33.
FIRST_MINOR: Final = 29
# kp.nftables.partialSync: "1.31/1.32 (PR #126013, 2024-07)"; taken as the later one.
PARTIAL_SYNC_MINOR: Final = 32
# V24 measured the long listing on 1.36.1; kp.nftables.partialSync: "up to 1.36.x".
_LIST_ALL_MINOR: Final = 36


@dataclass(frozen=True, slots=True)
class SyncCost:
    """How long a synchronisation takes, in nanoseconds of simulated time.

    A full sync costs `full_ns` + `chain_ns` * n ** 1.25 for n chains, since the kernel's work on a transaction grows
    faster than its size; a partial one `partial_ns` + `line_ns` per line + `standing_ns` per chain that stands, since
    all chains are listed to find the stale ones. Both list with `list_ns` per chain where listing is slow."""

    # Derived: starting `nft` twice, to list and to write, in an empty cluster.
    full_ns: int = 20_000_000
    # V24, full syncs: 8 min with 30,000 chains, 16m44s (63 s of it listing) with 88,000, 13m15s and 2m13s with 255,000,
    # on four machines. Their geometric mean, so that each is met to within its order of magnitude.
    chain_ns: int = 226_000
    partial_ns: int = 20_000_000
    # cost.iptables_restore_700k: 18 us per line of a restore; nft reads text likewise.
    line_ns: int = 18_000
    # V24, one Service added: 141 ms with 30,000 chains, 1.328 s with 88,000. The geometric mean.
    standing_ns: int = 8_000
    # V24: 63 s to list 88,000 chains (1.36.1).
    list_ns: int = 0

    @classmethod
    def for_minor(cls, minor: int) -> "SyncCost":
        """The cost in a version of Kubernetes."""
        return cls(list_ns=700_000 if minor == _LIST_ALL_MINOR else 0)

    def full(self, chains: int) -> int:
        """Nanoseconds of a full sync."""
        fourth_root = isqrt(isqrt(chains << 32))  # times 256
        return self.full_ns + (self.chain_ns * chains * fourth_root >> 8) + self.list_ns * chains

    def partial(self, lines: int, standing: int) -> int:
        """Nanoseconds of a partial sync."""
        return self.partial_ns + self.line_ns * lines + (self.standing_ns + self.list_ns) * standing


@dataclass(frozen=True, slots=True)
class NftablesConfig:
    """What is the same on every node."""

    # nftables.masqueradeBit 14.
    masquerade_mark: int = 0x4000
    # The ServiceCIDR objects: unallocated addresses inside are dropped.
    service_cidrs: tuple[Prefix, ...] = ()
    # Whether a change of one Service writes only that Service.
    partial_sync: bool = True
    cost: SyncCost = field(default_factory=SyncCost)
