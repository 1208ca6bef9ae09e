"""What becomes of a packet that meets an nftables rule: verdicts, nat and reject statements, verdict maps (nft(8)).

Values made by the dataplane; asked by `Nftables`. `str()` is the text as kube-proxy writes it, `listed` as
`nft list ruleset` prints it. Sources: net/netfilter/{nf_tables_core,nft_lookup,nft_numgen}.c of Linux 6.8;
src/{statement,datatype}.c of nftables 1.0.6.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from netsim.kernel import targets
from netsim.kernel.targets import Dnat, Masquerade, Reject, Snat, Target
from netsim.wire.addr import ip_text
from netsim.wire.packet import endpoint_text

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.nft import Nftables
    from netsim.kernel.nft_key import Key


class Flow(Enum):
    """How the evaluation goes on after a verdict."""

    CONTINUE = "continue"
    JUMP = "jump"
    GOTO = "goto"
    RETURN = "return"
    FINAL = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict. `chain` for jump and goto; `target` for what ends the base chain (accept, drop, reject, nat)."""

    flow: Flow
    chain: str = ""
    target: Target | None = None

    def __str__(self) -> str:
        if self.target is not None:
            return _TEXTS[type(self.target)](self.target)
        return f"{self.flow.value} {self.chain}" if self.chain else self.flow.value


def jump(chain: str) -> Verdict:
    """Go on in a chain; come back if it says nothing final."""
    return Verdict(Flow.JUMP, chain)


def goto(chain: str) -> Verdict:
    """Go on in a chain; come back not here but to whoever called this chain."""
    return Verdict(Flow.GOTO, chain)


def final(target: Target) -> Verdict:
    """The end of the base chain's evaluation."""
    return Verdict(Flow.FINAL, target=target)


ACCEPT: Final = final(targets.ACCEPT)
DROP: Final = final(targets.DROP)
REJECT: Final = final(Reject())
RETURN: Final = Verdict(Flow.RETURN)
CONTINUE: Final = Verdict(Flow.CONTINUE)


def _reject(target: Target) -> str:
    assert isinstance(target, Reject)
    if target.with_ == "tcp-reset":
        return "reject with tcp reset"
    if target.type == "icmp-port-unreachable":
        return "reject"
    return f"reject with icmp {target.type.removeprefix('icmp-')}"


def _to(word: str, target: Target) -> str:
    assert isinstance(target, Dnat | Snat)
    place = endpoint_text(target.address, target.port) if target.port else ip_text(target.address)
    return f"{word} to {place}"


def _masquerade(target: Target) -> str:
    assert isinstance(target, Masquerade)
    return "masquerade fully-random" if target.random_fully else "masquerade"


_TEXTS: Final[dict[type[Target], Callable[[Target], str]]] = {
    targets.Accept: lambda _: "accept",
    targets.Drop: lambda _: "drop",
    Reject: _reject,
    Dnat: lambda target: _to("dnat", target),
    Snat: lambda target: _to("snat", target),
    Masquerade: _masquerade,
}


class Chooser(Protocol):
    """What stands at the end of a rule: a verdict, or something that chooses one. None: the rule does not match."""

    def choose(self, t: "Traversal", x: "Nftables") -> Verdict | None:
        """The verdict on this packet."""
        ...

    @property
    def listed(self) -> str:
        """As `nft list ruleset` prints it."""
        ...

    @property
    def chains(self) -> tuple[str, ...]:
        """The chains it names."""
        ...


@dataclass(frozen=True, slots=True)
class VerdictMap:
    """`ip daddr . meta l4proto . th dport vmap @service-ips`: one look-up, however many elements there are."""

    key: "Key"
    name: str
    chains = ()

    def choose(self, t: "Traversal", x: "Nftables") -> Verdict | None:
        """The verdict that the map holds for the packet's key."""
        if self.key.has_port:
            x.port_blind = False
        element = x.current[self.name].elements.get(self.key.of(t.packet.flow))
        return element.verdict if element is not None else None

    def __str__(self) -> str:
        return f"{self.key} vmap @{self.name}"

    @property
    def listed(self) -> str:
        """As `nft list ruleset` prints it."""
        return str(self)


@dataclass(frozen=True, slots=True)
class RandomMap:
    """`numgen random mod N vmap { 0 : goto A, 1 : goto B }`: one draw."""

    verdicts: tuple[Verdict, ...]

    def choose(self, t: "Traversal", x: "Nftables") -> Verdict | None:
        """A verdict by lot; of one there is no need to draw."""
        count = len(self.verdicts)
        return self.verdicts[x.pick(count, t.ns.random) if count > 1 else 0]

    @property
    def chains(self) -> tuple[str, ...]:
        """The chains it names."""
        return tuple(verdict.chain for verdict in self.verdicts if verdict.chain)

    def __str__(self) -> str:
        return self._text(" , ")

    @property
    def listed(self) -> str:
        """As `nft list ruleset` prints it."""
        return self._text(", ")

    def _text(self, comma: str) -> str:
        elements = comma.join(f"{number} : {verdict}" for number, verdict in enumerate(self.verdicts))
        return f"numgen random mod {len(self.verdicts)} vmap {{ {elements} }}"
