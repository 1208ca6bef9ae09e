"""Priorities of base chains and how nft names them (src/rule.c of nftables 1.0.6, `prio2str`)."""

from typing import Final

from netsim.kernel.hooks import Hook

_ANYWHERE: Final = {"raw": -300, "mangle": -150, "filter": 0, "security": 50}
_ONLY_AT: Final = {Hook.PREROUTING: ("dstnat", -100), Hook.POSTROUTING: ("srcnat", 100)}
_NEAR: Final = 10


def priority_text(hook: Hook, priority: int, plain: bool = False) -> str:
    """`filter`, `dstnat - 10`, or the number itself (always so if `plain`, as kube-proxy writes it)."""
    names = dict([_ONLY_AT[hook]] if hook in _ONLY_AT else []) | _ANYWHERE
    for name, value in () if plain else names.items():
        away = priority - value
        if abs(away) <= _NEAR:
            sign = "+" if away > 0 else "-"
            return f"{name} {sign} {abs(away)}" if away else name
    return str(priority)
