"""Matches of iptables rules that ask other subsystems: IP sets, IPVS, bridges (iptables-extensions(8)).

See `matches.py` for what matches have in common. Sources: net/netfilter/{xt_set,xt_ipvs,xt_physdev}.c of Linux 6.8.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from netsim.kernel.matches import MatchBase
from netsim.wire.addr import Address, ip_text
from netsim.wire.packet import PROTOCOL_NAMES, Flow

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.xtables import Xtables


@dataclass(frozen=True, slots=True)
class SetMatch(MatchBase):
    """`-m set --match-set NAME dst,dst`: whether the packet is in the set; `sides` are src or dst for each part."""

    name: str
    sides: tuple[str, ...]
    negated: bool = False

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        known = x.ipsets.get(self.name)
        if known is None:
            return self.negated
        if known.has_port:
            x.port_blind = False
            if (self.sides[1] if len(self.sides) > 1 else self.sides[0]) == "src":
                x.pure = False
        return known.test(t.packet.flow, self.sides) is not self.negated

    def __str__(self) -> str:
        return f"-m set {'! ' if self.negated else ''}--match-set {self.name} {','.join(self.sides)}"


@dataclass(frozen=True, slots=True)
class IpvsMatch(MatchBase):
    """`-m ipvs --vaddr --vproto --vport`: whether IPVS has sent the packet on for this virtual server."""

    address: Address
    protocol: int
    port: int
    stateful: ClassVar[bool] = True

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.pure = x.lasting = False
        ipvs = t.ns.ipvs
        if t.ipvs is None or ipvs is None:
            return False
        flow = t.packet.flow
        connection = ipvs.answers.get(flow.reverse())
        if connection is None:
            return False
        virtual: Flow = connection.flow
        return (virtual.dst, virtual.proto, virtual.dport) == (self.address, self.protocol, self.port)

    def __str__(self) -> str:
        name = PROTOCOL_NAMES[self.protocol]
        return f"-m ipvs --vaddr {ip_text(self.address)} --vproto {name} --vport {self.port}"

    @property
    def saved(self) -> str:
        bits = 8 * len(self.address)
        text = f"--vproto {self.protocol} --vaddr {ip_text(self.address)}/{bits} --vport {self.port}"
        return f"-m ipvs {text}"


@dataclass(frozen=True, slots=True)
class PhysdevIsIn(MatchBase):
    """`-m physdev --physdev-is-in`: whether it came in by a port of a bridge. Simplified: never, since packets of
    bridges do not go through the iptables of the node's IP layer here (bridge-nf-call-iptables)."""

    negated: bool = False

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return self.negated

    def __str__(self) -> str:
        return f"-m physdev {'! ' if self.negated else ''}--physdev-is-in"
