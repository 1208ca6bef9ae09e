"""Virtual and real servers of IPVS (struct ip_vs_service, struct ip_vs_dest).

`VirtualServer` is what a dataplane asks for; `Service` and `Dest` are what stands in a namespace, with their counters.
Made and changed by `ipvs.py` only. Real servers stand in a service's list as in Linux, the newest first, which is the
order in which schedulers go through them.

Source: net/netfilter/ipvs/ip_vs_ctl.c of Linux 6.8. Simplified: forwarding is masquerading only (kube-proxy knows no
other), no connection thresholds, no services by firewall mark, no port 0.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.wire.addr import Address
from netsim.wire.packet import SCTP, TCP, UDP, endpoint_text

if TYPE_CHECKING:
    from netsim.kernel.ipvs_schedulers import Scheduler

PROTOCOL_TEXT: Final = {TCP: "TCP", UDP: "UDP", SCTP: "SCTP"}

# IP_VS_SVC_F_SCHED_MH_PORT: the hash takes in the source port (`-b mh-port`); kube-proxy's FlagSourceHash.
HASH_PORT: Final = 0x0010


class ServiceKey(NamedTuple):
    """What a packet is matched by."""

    protocol: int
    address: Address
    port: int

    def __str__(self) -> str:
        return f"{PROTOCOL_TEXT[self.protocol]} {endpoint_text(self.address, self.port)}"


class DestKey(NamedTuple):
    """One real server of a service."""

    address: Address
    port: int


@dataclass(frozen=True, slots=True)
class VirtualServer:
    """`ipvsadm -A`: `persistent_s` is the time-out of persistence, 0 for none."""

    key: ServiceKey
    scheduler: str = "rr"
    persistent_s: int = 0
    flags: int = 0


class Stats:
    """Connections, packets and bytes (of IP) since the beginning."""

    __slots__ = ("conns", "in_bytes", "in_packets", "out_bytes", "out_packets")

    def __init__(self) -> None:
        self.conns = self.in_packets = self.out_packets = self.in_bytes = self.out_bytes = 0

    def row(self) -> tuple[int, int, int, int, int]:
        """In the order of `ipvsadm -Ln --stats`."""
        return self.conns, self.in_packets, self.out_packets, self.in_bytes, self.out_bytes


class Dest:
    """A real server. `refs` counts the connections and templates that refer to it; one that has been deleted while
    there are some is not `available` but stays in the trash."""

    __slots__ = (
        "active", "address", "available", "inactive", "persistent", "port", "refs", "service", "stats", "weight",
    )  # fmt: skip

    def __init__(self, service: "Service", key: DestKey, weight: int) -> None:
        self.service = service
        self.address, self.port = key
        self.weight = weight
        self.available = True
        self.active = self.inactive = self.persistent = self.refs = 0
        self.stats = Stats()

    @property
    def key(self) -> DestKey:
        """Address and port."""
        return DestKey(self.address, self.port)

    @property
    def overhead(self) -> int:
        """What the least-connection schedulers compare (ip_vs_dest_conn_overhead)."""
        return (self.active << 8) + self.inactive

    def __repr__(self) -> str:
        return f"<Dest {endpoint_text(self.address, self.port)} weight={self.weight}>"


class Service:
    """A virtual server that stands; `dests` are in the kernel's order."""

    __slots__ = ("by_key", "dests", "scheduler", "server", "stats")

    def __init__(self, server: VirtualServer, scheduler: "Scheduler") -> None:
        self.server = server
        self.scheduler = scheduler
        self.dests: list[Dest] = []
        self.by_key: dict[DestKey, Dest] = {}
        self.stats = Stats()

    @property
    def key(self) -> ServiceKey:
        """Protocol, address, port."""
        return self.server.key

    def __repr__(self) -> str:
        return f"<Service {self.key} {self.server.scheduler} of {len(self.dests)}>"
