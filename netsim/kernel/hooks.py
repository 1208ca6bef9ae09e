"""Netfilter's hooks, their order and what a hook may answer.

::

          device                                                     device
            |                                                          ^
            v                                                          |
       PREROUTING --> routing --> FORWARD --------------------> POSTROUTING
                         |                                             ^
                         v                                             |
                       INPUT --> sockets (processes) --> OUTPUT --> routing

At each hook functions run in the order of their priority (include/uapi/linux/netfilter_ipv4.h):

=============  ========  ==========================================================================
function       priority  where
=============  ========  ==========================================================================
raw                -300  PREROUTING, OUTPUT: NOTRACK leaves out the next
conntrack          -200  PREROUTING, OUTPUT: find or make the entry (unconfirmed)
DNAT               -100  PREROUTING, OUTPUT: rewrite the destination
filter                0  INPUT, FORWARD, OUTPUT
SNAT                100  POSTROUTING, INPUT: rewrite the source
confirm         INT_MAX  POSTROUTING, INPUT: put the entry into the table
IPVS                     see `ipvs_hooks.py`; only where a node runs it
=============  ========  ==========================================================================

Base chains of nftables stand among these by their own priorities (`nft_hooks.py`).

A hook function takes the `Traversal` and returns ACCEPT, a `DropReason`, or STOLEN when it has taken the packet over.
"""

from collections.abc import Callable
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace
    from netsim.wire.packet import Packet


class Hook(IntEnum):
    """The five hooks; the value is the index into `Namespace.hooks`."""

    PREROUTING = 0
    INPUT = 1
    FORWARD = 2
    OUTPUT = 3
    POSTROUTING = 4


class DropReason(Enum):
    """Why a packet ended without being delivered. Names follow include/net/dropreason-core.h where it has one."""

    NETFILTER_DROP = "dropped by a rule"
    NETFILTER_REJECT = "rejected by a rule"
    CONNTRACK_TABLE_FULL = "conntrack: table full"
    CONNTRACK_INSERT_FAILED = "conntrack: lost the race to insert the entry"
    NAT_NO_PORT = "nat: no free source port"
    IP_TTL_EXPIRED = "time to live exceeded"
    IP_NO_ROUTE = "no route to the destination"
    IP_BLACKHOLE = "blackhole route"
    IP_UNREACHABLE = "unreachable route"
    IP_NOT_FORWARDING = "not for this host, and it does not forward"
    IP_UNKNOWN_PROTOCOL = "no handler for the protocol"
    IP_MALFORMED = "malformed, fragmented or with a wrong checksum"
    PKT_TOO_BIG = "larger than the MTU with DF set"
    NEIGH_FAILED = "neighbour does not answer"
    NEIGH_QUEUE_FULL = "too many packets wait for the neighbour"
    NO_SOCKET = "no socket"
    TCP_ABORTED = "TCP: not acceptable for the connection"
    SCTP_TAG = "SCTP: wrong verification tag"
    SCTP_COOKIE = "SCTP: bad or stale cookie"
    TCP_LISTEN_OVERFLOW = "TCP: accept queue full"
    ICMP_UNMATCHED = "ICMP message that concerns nobody here"
    CHECKSUM = "corrupted on the link"
    LINK_DOWN = "link is down"
    LINK_LOSS = "lost on the link"
    LINK_QUEUE_FULL = "link queue full"
    LINK_PARTITION = "network partition"
    LINK_UNKNOWN_MAC = "no port has this MAC address"
    DEVICE_DOWN = "device is down"
    OTHERHOST = "the frame is for another MAC address"
    BRIDGE_NO_EGRESS_PORT = "bridge: no port to forward to"
    VXLAN_INVALID_HDR = "vxlan: no VXLAN header, or no frame behind it"
    VXLAN_NO_REMOTE = "vxlan: no node is known for the MAC address"
    VXLAN_VNI_NOT_FOUND = "vxlan: no device for the network identifier"
    LB_NO_LISTENER = "load balancer: no Service has this port"
    LB_NO_BACKEND = "load balancer: no healthy node"
    LB_SOURCE_RANGE = "load balancer: source not in loadBalancerSourceRanges"
    IPVS_NO_REAL_SERVER = "ipvs: the virtual server has no real server to choose"
    IPVS_NO_DEST = "ipvs: the connection's real server is gone"
    IPVS_PORT_REUSED = "ipvs: a SYN on a reused port while conntrack holds the old connection"
    IPVS_LOOPBACK = "ipvs: a loopback source cannot leave the host"


class Stolen(Enum):
    """The other way for a packet to stop at a hook: somebody keeps it for now."""

    STOLEN = "stolen"


ACCEPT: Final = None
STOLEN: Final = Stolen.STOLEN
Verdict = DropReason | Stolen | None
HookFunction = Callable[["Traversal"], Verdict]

NEW: Final = "NEW"
ESTABLISHED: Final = "ESTABLISHED"
RELATED: Final = "RELATED"
INVALID: Final = "INVALID"
UNTRACKED: Final = "UNTRACKED"


class Traversal:
    """One packet crossing one namespace: what netfilter knows at a hook (struct nf_hook_state and the skb's notes).

    `visited` counts the rules that a linear evaluation would have visited, which is what the crossing costs in
    simulated time; `trace`, when not None, collects the rules that matched, for those who listen.
    """

    __slots__ = (
        "ct",
        "ctstate",
        "hook",
        "in_device",
        "ipvs",
        "now",
        "ns",
        "out_device",
        "packet",
        "stolen",
        "trace",
        "visited",
    )

    def __init__(self, ns: "Namespace", packet: "Packet", in_device: "Device | None", now: int) -> None:
        self.ns = ns
        self.packet = packet
        self.in_device = in_device
        self.out_device: Device | None = None
        self.now = now
        self.hook = Hook.PREROUTING
        self.ct: Any = None
        self.ctstate = UNTRACKED
        self.visited = 0
        self.ipvs: Any = None  # the IPVS connection that has dealt with the packet (skb->ipvs_property)
        self.stolen = False
        self.trace: list[Any] | None = [] if ns.journeys or ns.rewrite_subscribers else None

    @property
    def in_dev(self) -> str:
        """Name of the device it came in by, "" for local packets (iptables -i)."""
        return self.in_device.name if self.in_device is not None else ""

    @property
    def out_dev(self) -> str:
        """Name of the device it leaves by, "" while unknown (iptables -o)."""
        return self.out_device.name if self.out_device is not None else ""
