"""What a namespace tells about packets when somebody listens: drops, decisions of NAT, and the steps of a journey."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netsim.wire.packet import NO_MACS, Body, Flow

if TYPE_CHECKING:
    from netsim.kernel.hooks import DropReason
    from netsim.wire.packet import Packet


@dataclass(frozen=True, slots=True)
class Dropped:
    """A packet ended: where (namespace, hook, device) and why. `packet` is a copy of it as it was then, `rule` what
    dropped it (known while rewrites are listened to)."""

    at_ns: int
    namespace: str
    hook: str
    reason: "DropReason"
    flow: Flow
    uid: int
    device: str = ""
    packet: "Packet | None" = field(default=None, compare=False)
    rule: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Rewritten:
    """NAT has decided about a flow's first packet: `kind` is dnat, snat or ipvs, `rule` what decided. All packets of
    the flow are rewritten alike, and those of the answers back."""

    at_ns: int
    namespace: str
    hook: str
    kind: str
    before: Flow
    after: Flow
    rule: str


@dataclass(frozen=True, slots=True)
class RuleHit:
    """A rule that matched during a traversal. `saved` is the same rule as the tool lists it now (`iptables-save -c`,
    `nft list ruleset`, `ipvsadm -Ln`), with its counter, which counts this packet already."""

    table: str
    chain: str
    text: str
    saved: str = ""

    def __str__(self) -> str:
        """As `iptables-save` has it, after the table."""
        return f"{self.table}: -A {self.chain} {self.text}"


@dataclass(frozen=True, slots=True)
class NftRuleHit(RuleHit):
    """A rule of nftables that matched, and the verdict that it or its map gave. `table` is family and name."""

    verdict: str = ""

    def __str__(self) -> str:
        """As `nft monitor trace` has it."""
        return f"{self.table} {self.chain} rule {self.text} (verdict {self.verdict})"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a packet's journey through a namespace or over a link.

    `kind` is one of send, receive, hook, rule, dnat, snat, related, conntrack, route, neighbour, bridge, encapsulate,
    decapsulate, transmit, balance, ipvs, deliver and drop; `where` is the hook, device or link. Flow, TTL, MAC
    addresses and body are those after the step. `rule` is what matched, `entry` the conntrack entry at that moment.
    """

    at_ns: int
    namespace: str
    where: str
    kind: str
    detail: str
    flow: Flow
    ttl: int
    uid: int
    body: Body
    macs: bytes = NO_MACS
    rule: RuleHit | None = None
    entry: str = ""
