"""What stands at a namespace's hooks, in words: for drawings of the packet path.

Called by the packet stepper (`measure/stepper`). Priorities are those by which Linux orders the functions
(include/uapi/linux/netfilter_ipv4.h; `ip_vs_ops4` in net/netfilter/ipvs/ip_vs_core.c for IPVS).
"""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from netsim.kernel import ipvs_hooks, netfilter
from netsim.kernel.hooks import Hook, HookFunction

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace
    from netsim.kernel.nft import BaseChain

_INT_MAX: Final = (1 << 31) - 1


class Station(NamedTuple):
    """One function at a hook. `key` is what steps refer to: conntrack, nat, filter, confirm, ip_vs_in, ip_vs_out, or
    table and name of a base chain of nftables. `bases` are the base chains of nftables that are asked here."""

    key: str
    label: str
    priority: int
    bases: tuple[str, ...] = ()


_PLAIN: Final[Mapping[HookFunction, Station]] = {
    netfilter.conntrack_in: Station("conntrack", "conntrack", -200),
    netfilter.raw_table: Station("conntrack", "raw, conntrack", -300),
    netfilter.nat_destination: Station("nat", "nat: DNAT", -100),
    netfilter.filter_table: Station("filter", "filter", 0),
    netfilter.nat_source: Station("nat", "nat: SNAT", 100),
    netfilter.confirm: Station("confirm", "conntrack confirm", _INT_MAX),
}
# IPVS has another priority at each hook.
_IPVS: Final[Mapping[tuple[HookFunction, Hook], Station]] = {
    (ipvs_hooks.ip_vs_out, Hook.INPUT): Station("ip_vs_out", "ip_vs_out", 98),
    (ipvs_hooks.ip_vs_in, Hook.INPUT): Station("ip_vs_in", "ip_vs_in", 99),
    (ipvs_hooks.ip_vs_out, Hook.FORWARD): Station("ip_vs_out", "ip_vs_out", 100),
    (ipvs_hooks.ip_vs_out, Hook.OUTPUT): Station("ip_vs_out", "ip_vs_out", -99),
    (ipvs_hooks.ip_vs_in, Hook.OUTPUT): Station("ip_vs_in", "ip_vs_in", -98),
}


def stations(ns: "Namespace") -> tuple[tuple[Station, ...], ...]:
    """For each hook, in the order of `Hook`: what a packet meets there, in order."""
    bases = ns.nft.bases if ns.nft is not None else ()
    return tuple(
        tuple(_station(function, hook, bases) for function in functions)
        for hook, functions in zip(Hook, ns.hooks, strict=True)
    )


def _station(function: HookFunction, hook: Hook, bases: "tuple[BaseChain, ...] | list[BaseChain]") -> Station:
    known = _IPVS.get((function, hook)) or _PLAIN.get(function)
    if known is not None:
        asked = [base for base in bases if base.base.hook is hook and base.base.type == "nat"]
        if known.key == "nat" and asked:  # nf_nat_inet_fn asks them in this place
            names = tuple(f"{base.table} {base.name}" for base in asked)
            return known._replace(label=f"nat: {', '.join(names)}", bases=names)
        return known
    if isinstance(function, partial):
        _, table, chain, _ = function.args
        base = next(base for base in bases if (str(base.table), base.name) == (table, chain))
        name = f"{table} {chain}"
        return Station(name, name, base.base.priority, (name,))
    return Station("balance", "load balancer", 0)
