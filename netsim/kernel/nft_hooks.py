"""nftables' base chains among netfilter's functions: by priority, and before older ones of the same priority.

`enable` is called once by `enable_netfilter`. A namespace without base chains keeps the plain functions, so that
iptables alone costs nothing more. For nat the first engine that decides wins (nf_nat_inet_fn in nf_nat_core.c).
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from netsim.kernel.hooks import ACCEPT, DropReason, Hook, HookFunction, Traversal
from netsim.kernel.nft import BaseChain, Nftables
from netsim.kernel.targets import Target

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

T = TypeVar("T")

_LENGTHS: Final = {"ip": 4, "ip6": 16, "inet": 0}
# Priorities of iptables's nat table.
_NAT: Final = {Hook.PREROUTING: -100, Hook.OUTPUT: -100, Hook.INPUT: 100, Hook.POSTROUTING: 100}


def enable(ns: "Namespace", priorities: Mapping[HookFunction, int]) -> None:
    """Give a namespace an nftables without tables; its hooks so far hold `priorities`' functions."""
    ns.nft = Nftables()
    ns.nft.changed = ns.changed
    ns.nft.registered = partial(_arrange, ns, ns.nft, tuple(ns.hooks), priorities)


def _arrange(
    ns: "Namespace",
    nft: Nftables,
    plain: tuple[tuple[HookFunction, ...], ...],
    priorities: Mapping[HookFunction, int],
) -> None:
    """Put the base chains that there are now among the plain functions."""
    assert ns.xtables is not None
    assert ns.ip6tables is not None
    ns.engines = (ns.xtables, ns.ip6tables, *((nft,) if nft.bases else ()))
    for hook in Hook:
        mine = [found for found in nft.bases if found.base.hook is hook]
        filters: list[tuple[int, HookFunction]] = [
            (found.base.priority, _called(_filter, nft, found))
            for found in mine
            if found.base.type == "filter"
        ]
        # A stable sort: chains of nftables, which are younger, before the others of the same priority.
        merged = sorted([*filters, *((priorities[f], f) for f in plain[hook])], key=lambda pair: pair[0])
        ns.hooks[hook] = tuple(function for _, function in merged)
        asked: list[tuple[int, Callable[[Traversal], Target | None]]] = [
            (found.base.priority, _called(_nat, nft, found)) for found in mine if found.base.type == "nat"
        ]
        asked.append((_NAT.get(hook, 0), iptables_nat))
        ns.nat_rules[hook] = tuple(ask for _, ask in sorted(asked, key=lambda pair: pair[0]))


def iptables_nat(t: Traversal) -> Target | None:
    """What the nat table of iptables or ip6tables says."""
    ns = t.ns
    xtables = (
        ns.xtables if len(t.packet.flow.src) == 4 else ns.ip6tables
    )  # `iptables_for`, on the packet path
    return xtables.nat(t) if xtables is not None else None


def _filter(nft: Nftables, table: str, chain: str, length: int, t: Traversal) -> DropReason | None:
    if length and len(t.packet.flow.src) != length:
        return ACCEPT
    return nft.judge(table, chain, t)


def _nat(nft: Nftables, table: str, chain: str, length: int, t: Traversal) -> Target | None:
    if length and len(t.packet.flow.src) != length:
        return None
    return nft.evaluate(table, chain, t)


def _called(
    function: Callable[[Nftables, str, str, int, Traversal], T], nft: Nftables, found: BaseChain
) -> Callable[[Traversal], T]:
    return partial(function, nft, str(found.table), found.name, _LENGTHS[found.table.family])
