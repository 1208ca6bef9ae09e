"""Matches of iptables rules with chance, memory or counters of their own (iptables-extensions(8)).

See `matches.py` for the others and for what all have in common. Sources: net/netfilter/{xt_statistic,xt_recent,
xt_nfacct}.c of Linux 6.8, libxt_statistic.c of iptables 1.8.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from netsim.kernel.matches import MatchBase, quoted

if TYPE_CHECKING:
    from netsim.kernel.hooks import Traversal
    from netsim.kernel.xtables import Xtables

_HALF: Final = 0x8000_0000  # probabilities are multiples of 2^-31
# What the tools print of `recent`'s --mask and --rsource, which are the defaults: libxt_recent.c.
_WHOLE_SOURCE: Final = {
    False: "--mask 255.255.255.255 --rsource",
    True: "--mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource",
}


@dataclass(frozen=True, slots=True)
class Statistic(MatchBase):
    """`-m statistic --mode random --probability p`: an independent draw for each packet that gets here."""

    probability: float
    stateful: ClassVar[bool] = True
    _threshold: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"a probability is between 0 and 1, not {self.probability}")
        # lround(0x80000000 * p) by iptables, compared with 31 random bits by the kernel.
        object.__setattr__(self, "_threshold", round(_HALF * self.probability))

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        return x.draw(self._threshold, t.ns.random)

    def __str__(self) -> str:
        return f"-m statistic --mode random --probability {self.probability:.10f}"

    @property
    def saved(self) -> str:
        return f"-m statistic --mode random --probability {self._threshold / _HALF:.11f}"


@dataclass(frozen=True, slots=True)
class RecentSet(MatchBase):
    """`-m recent --set`: put the source address into a list, or renew it. Always matches. `ipv6`: in ip6tables."""

    name: str
    ipv6: bool = False
    stateful: ClassVar[bool] = True

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.pure = x.lasting = False
        x.recent(self.name).stamp(t.packet.flow.src, t.now)
        return True

    def __str__(self) -> str:
        return f"-m recent --name {self.name} --set"

    @property
    def saved(self) -> str:
        return f"-m recent --set --name {quoted(self.name)} {_WHOLE_SOURCE[self.ipv6]}"


@dataclass(frozen=True, slots=True)
class RecentCheck(MatchBase):
    """`-m recent --rcheck --seconds n [--reap]`: whether the source was put into the list in the last `seconds`; with
    `reap` the oldest entry is thrown out at the same time if it is older. `ipv6`: in ip6tables."""

    name: str
    seconds: int
    reap: bool = True
    ipv6: bool = False
    stateful: ClassVar[bool] = True

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.pure = x.lasting = False
        return x.recent(self.name).seen(t.packet.flow.src, t.now - self.seconds * 1_000_000_000, self.reap)

    def __str__(self) -> str:
        reap = " --reap" if self.reap else ""
        return f"-m recent --name {self.name} --rcheck --seconds {self.seconds}{reap}"

    @property
    def saved(self) -> str:
        reap = " --reap" if self.reap else ""
        options = f"--rcheck --seconds {self.seconds}{reap} --name {quoted(self.name)}"
        return f"-m recent {options} {_WHOLE_SOURCE[self.ipv6]}"


@dataclass(frozen=True, slots=True)
class Nfacct(MatchBase):
    """`-m nfacct`: counts packets and bytes under a name of its own (nfacct(8)). Always matches."""

    name: str
    stateful: ClassVar[bool] = True

    def matches(self, t: "Traversal", x: "Xtables") -> bool:
        x.pure = x.lasting = False
        x.nfacct(self.name).add(1, t.packet.size)
        return True

    def __str__(self) -> str:
        return f"-m nfacct --nfacct-name {self.name}"

    @property
    def saved(self) -> str:
        return f"-m nfacct --nfacct-name  {self.name}"  # two blanks: libxt_nfacct.c prints it so
