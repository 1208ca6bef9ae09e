"""What a capture says about each packet in words: who talks to whom, which rule rewrote it, why it ended.

Called by `pcap.py`, which writes these as opt_comment and the drops as epb_verdict too.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

from netsim.kernel.journey import Dropped, Rewritten
from netsim.wire.addr import ip_text
from netsim.wire.describe import describe
from netsim.wire.packet import ARP, ICMP, ICMPV6, Body, Flow, VxlanFrame, endpoint_text

# A packet is seen in its pod before its node decides about it: the decision comes at most this much later.
_SOON_NS: Final = 1_000_000


class Comments:
    """Decisions of NAT by flow. `names` are those of addresses."""

    def __init__(self, names: Mapping[bytes, str], rewrites: Iterable[Rewritten]) -> None:
        self._names = names
        self._by_flow: dict[Flow, list[tuple[Rewritten, bool]]] = {}
        for rewritten in rewrites:
            for flow, is_reply in (
                (rewritten.before, False),
                (rewritten.after, False),
                (rewritten.before.reverse(), True),
                (rewritten.after.reverse(), True),
            ):
                self._by_flow.setdefault(flow, []).append((rewritten, is_reply))

    def of(self, flow: Flow, body: Body, at_ns: int) -> list[str]:
        """The comments on a packet: what it says, between whom, and what rewrites it."""
        said = [describe(flow, body)]
        if isinstance(body, VxlanFrame):
            flow = body.inner.flow
        if flow.proto != ARP:
            said.append(f"{self._name(flow.src)} > {self._name(flow.dst)}")
        return [*said, *(_told(rewritten, is_reply) for rewritten, is_reply in self.decisions(flow, at_ns))]

    def decisions(self, flow: Flow, at_ns: int) -> list[tuple[Rewritten, bool]]:
        """For each place that decided about a flow its last decision before the moment; whether the flow is that of
        the answers."""
        found: dict[tuple[str, str], list[tuple[Rewritten, bool]]] = {}
        for decision in self._by_flow.get(flow, ()):
            found.setdefault((decision[0].namespace, decision[0].kind), []).append(decision)
        chosen = []
        for decisions in found.values():
            times = [rewritten.at_ns for rewritten, _ in decisions]
            chosen.append(decisions[max(0, bisect_right(times, at_ns + _SOON_NS) - 1)])
        return sorted(chosen, key=lambda decision: decision[0].at_ns)

    def _name(self, address: bytes) -> str:
        return self._names.get(address, ip_text(address))


def _told(rewritten: Rewritten, is_reply: bool) -> str:
    before, after = rewritten.before, rewritten.after
    if rewritten.kind == "snat":
        change = f"{_end(before.src, before.sport, before)} to {_end(after.src, after.sport, after)}"
    else:
        change = f"{_end(before.dst, before.dport, before)} to {_end(after.dst, after.dport, after)}"
    by = f" by {rewritten.rule}" if rewritten.rule else ""
    whose = "answer in a flow with " if is_reply else ""
    return f"{whose}{rewritten.kind.upper()} on {rewritten.namespace}: {change}{by}"


def _end(address: bytes, port: int, flow: Flow) -> str:
    return ip_text(address) if flow.proto in (ICMP, ICMPV6) else endpoint_text(address, port)


def dropped_text(dropped: Dropped) -> str:
    """Why a packet ended, and where."""
    device = f" ({dropped.device})" if dropped.device else ""
    by = f", by {dropped.rule}" if dropped.rule else ""
    reason = f"{dropped.reason.value} [{dropped.reason.name}]"
    return f"DROPPED at {dropped.hook} of {dropped.namespace}{device}: {reason}{by}"
