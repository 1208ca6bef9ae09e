"""IP sets of one network namespace (ipset(8)): what `-m set --match-set` looks packets up in.

Held as `Xtables.ipsets`; filled by the ipvs dataplane, asked by `SetMatch` (`matches_set.py`). A rule with a set costs
one look-up however many members there are. Members are kept by what a packet is compared with: address, protocol and
port, and a second address or range.

Sources: net/netfilter/ipset/ip_set_{bitmap_port,hash_ip,hash_ipport,hash_ipportip,hash_ipportnet}.c of Linux 6.8,
ipset(8) 7. Simplified: no time-outs, counters, comments or ranges of members; `list` leaves out `Size in memory`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from netsim.wire.addr import Address, Prefix, ip, ip_text
from netsim.wire.packet import PROTOCOL_NAMES, TCP, UDP, Flow

BITMAP_PORT: Final = "bitmap:port"
HASH_IP: Final = "hash:ip"
HASH_IP_PORT: Final = "hash:ip,port"
HASH_IP_PORT_IP: Final = "hash:ip,port,ip"
HASH_IP_PORT_NET: Final = "hash:ip,port,net"
_HASH_SIZE: Final = 1024
_MAX_ELEMENTS: Final = 65536
# Type revisions of Linux 6.8 (IPSET_TYPE_REV_MAX of each file).
_REVISIONS: Final[Mapping[str, int]] = {
    BITMAP_PORT: 3,
    HASH_IP: 6,
    HASH_IP_PORT: 7,
    HASH_IP_PORT_IP: 6,
    HASH_IP_PORT_NET: 8,
}
_NUMBERS: Final = {name: number for number, name in PROTOCOL_NAMES.items() if number}


class IpSetError(ValueError):
    """What ipset would say."""


class Member(NamedTuple):
    """One member; what the type of the set does not know is empty. `net` is the range of hash:ip,port,net, and the
    second address of hash:ip,port,ip as a range of one."""

    address: Address = b""
    protocol: int = 0
    port: int = 0
    net: Prefix | None = None

    def text(self, kind: str) -> str:
        """As ipset(8) prints it."""
        if kind == BITMAP_PORT:
            return str(self.port)
        if kind == HASH_IP:
            return ip_text(self.address)
        place = f"{ip_text(self.address)},{PROTOCOL_NAMES[self.protocol]}:{self.port}"
        if self.net is None:
            return place
        single = self.net.length == 8 * len(self.net.address)
        return f"{place},{ip_text(self.net.address) if single else self.net}"


@dataclass(frozen=True, slots=True)
class SetType:
    """`ipset create NAME KIND`."""

    name: str
    kind: str
    family: str = "inet"


class IpSet:
    """One set. `references` counts the rules that use it."""

    __slots__ = ("_nets", "members", "references", "type")

    def __init__(self, type: SetType) -> None:
        if type.kind not in _REVISIONS:
            raise IpSetError(f"Syntax error: unknown settype '{type.kind}'")
        self.type = type
        self.members: dict[Member, None] = {}
        self.references = 0
        self._nets: dict[tuple[Address, int, int], list[Prefix]] = {}

    @property
    def has_port(self) -> bool:
        """Whether its look-ups ask for protocol or port."""
        return self.type.kind != HASH_IP

    def add(self, member: Member) -> None:
        """`ipset add -exist`."""
        if member in self.members:
            return
        if self.type.kind != BITMAP_PORT and len(self.members) >= _MAX_ELEMENTS:
            raise IpSetError("Hash is full, cannot add more elements")
        self.members[member] = None
        if member.net is not None:
            self._nets.setdefault(member[:3], []).append(member.net)

    def remove(self, member: Member) -> None:
        """`ipset del -exist`."""
        if self.members.pop(member, member) is None and member.net is not None:
            nets = self._nets[member[:3]]
            nets.remove(member.net)
            if not nets:
                del self._nets[member[:3]]

    def test(self, flow: Flow, sides: tuple[str, ...]) -> bool:
        """Whether a packet is in the set; `sides` says for each part of a member which end of the packet it is."""
        kind = self.type.kind
        first = sides[0] == "dst"
        if kind == HASH_IP:
            return Member(flow.dst if first else flow.src) in self.members
        if kind == BITMAP_PORT:
            known = flow.proto in (TCP, UDP)  # ip_set_get_ip_port
            return known and Member(port=flow.dport if first else flow.sport) in self.members
        address = flow.dst if first else flow.src
        port = flow.dport if sides[1] == "dst" else flow.sport
        if kind == HASH_IP_PORT:
            return Member(address, flow.proto, port) in self.members
        nets = self._nets.get((address, flow.proto, port))
        if nets is None:
            return False
        other = flow.dst if sides[2] == "dst" else flow.src
        return any(net.contains(other) for net in nets)

    def text(self) -> str:
        """`ipset list NAME`."""
        kind = self.type.kind
        if kind == BITMAP_PORT:
            header = "range 0-65535"
        else:
            size = _HASH_SIZE
            while size < len(self.members):
                size *= 2
            header = f"family {self.type.family} hashsize {size} maxelem {_MAX_ELEMENTS}"
        lines = [
            f"Name: {self.type.name}",
            f"Type: {kind}",
            f"Revision: {_REVISIONS[kind]}",
            f"Header: {header}",
            f"References: {self.references}",
            f"Number of entries: {len(self.members)}",
            "Members:",
            *sorted(member.text(kind) for member in self.members),
        ]
        return "".join(f"{line}\n" for line in lines)


def listing(sets: Iterable[IpSet]) -> str:
    """`ipset list`."""
    return "\n".join(one.text() for one in sets)


def save(sets: Iterable[IpSet]) -> str:
    """`ipset save`, which `ipset restore` takes."""
    lines = []
    for one in sets:
        kind = one.type.kind
        options = (
            "range 0-65535"
            if kind == BITMAP_PORT
            else f"family {one.type.family} hashsize {_HASH_SIZE} maxelem {_MAX_ELEMENTS}"
        )
        lines.append(f"create {one.type.name} {kind} {options}")
        lines += [f"add {one.type.name} {member}" for member in sorted(m.text(kind) for m in one.members)]
    return "".join(f"{line}\n" for line in lines)


def parse_member(kind: str, text: str) -> Member:
    """A member as written after `ipset add NAME`. Raises IpSetError."""
    try:
        return _parse(kind, text.split(","))
    except (ValueError, KeyError, IndexError):
        raise IpSetError(f"Syntax error: cannot parse {text} as a member of {kind}") from None


def _parse(kind: str, parts: list[str]) -> Member:
    if kind == BITMAP_PORT:
        return Member(port=int(parts[0].rpartition(":")[2]))
    address = ip(parts[0])
    if kind == HASH_IP:
        return Member(address)
    protocol, _, port = parts[1].rpartition(":")
    number = _NUMBERS[protocol or "tcp"]
    if kind == HASH_IP_PORT:
        return Member(address, number, int(port))
    net = Prefix.parse(parts[2]) if "/" in parts[2] else Prefix.host(ip(parts[2]))
    return Member(address, number, int(port), net)
