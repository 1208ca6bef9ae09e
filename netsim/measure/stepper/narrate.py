"""What happens at each step, in one plain sentence: for the page's caption and for screen readers.

Called by `frames.py`. Names of addresses are those of the journey (`default/web-1`, `svc/default/web`).
"""

from collections.abc import Callable, Mapping
from typing import Final

from netsim.kernel.journey import NftRuleHit, Step
from netsim.wire.addr import ip_text
from netsim.wire.packet import ICMP, ICMPV6, Flow, endpoint_text

Names = Mapping[bytes, str]


def sentence(step: Step, before: Step | None, names: Names) -> str:
    """One sentence, ending with a full stop."""
    return _SENTENCES.get(step.kind, _other)(step, before, names)


def _named(address: bytes, port: int, flow: Flow, names: Names) -> str:
    text = ip_text(address) if flow.proto in (ICMP, ICMPV6) else endpoint_text(address, port)
    name = names.get(address)
    return f"{text} ({name})" if name else text


def _destination(step: Step, names: Names) -> str:
    return _named(step.flow.dst, step.flow.dport, step.flow, names)


def _send(step: Step, _before: Step | None, names: Names) -> str:
    return f"A process in {step.namespace} sends a packet to {_destination(step, names)}."


def _receive(step: Step, _before: Step | None, names: Names) -> str:
    return f"The frame comes in by {step.where} of {step.namespace}."


def _transmit(step: Step, _before: Step | None, _names: Names) -> str:
    cost = f" ({step.detail} on the way through)" if step.detail else ""
    return f"The frame leaves {step.namespace} by {step.where} with TTL {step.ttl}{cost}."


def _hook(step: Step, _before: Step | None, _names: Names) -> str:
    return f"Netfilter: the packet enters the {step.where} hook."


def _conntrack(step: Step, _before: Step | None, _names: Names) -> str:
    state = step.detail.split(" ", 1)[0].rstrip(",")
    return {
        "NEW": "Conntrack knows no connection with these addresses and ports: it begins an entry (NEW).",
        "ESTABLISHED": "Conntrack knows the connection: ESTABLISHED. Its entry says what to rewrite.",
        "UNTRACKED": "The raw table says NOTRACK: conntrack leaves the packet alone.",
        "packet": "Conntrack finds the packet INVALID: no entry, no NAT.",
        "confirmed": "The new conntrack entry is confirmed: from now on others can find it.",
        "clash,": "Two first packets raced: this one's entry clashes with one that is there already.",
    }.get(state, f"Conntrack: {step.detail}.")


def _rule(step: Step, _before: Step | None, _names: Names) -> str:
    hit = step.rule
    if hit is None:
        return f"A rule matches: {step.detail}."
    if isinstance(hit, NftRuleHit):
        return f"A rule of chain {hit.chain} (table {hit.table}) matches: {hit.verdict}."
    target = hit.text.rpartition("-j ")[2] or "counts"
    return f"A rule of chain {hit.chain} (table {hit.table}) matches: {target}."


def _dnat(step: Step, before: Step | None, names: Names) -> str:
    if before is None:
        return f"The destination becomes {_destination(step, names)}."
    was = _named(before.flow.dst, before.flow.dport, before.flow, names)
    return f"The destination is rewritten from {was} to {_destination(step, names)}."


def _snat(step: Step, before: Step | None, names: Names) -> str:
    now = _named(step.flow.src, step.flow.sport, step.flow, names)
    if before is None:
        return f"The source becomes {now}."
    was = _named(before.flow.src, before.flow.sport, before.flow, names)
    return f"The source is rewritten from {was} to {now}."


def _ipvs(step: Step, before: Step | None, names: Names) -> str:
    if before is not None and before.flow.dst == step.flow.dst and before.flow.src != step.flow.src:
        return f"IPVS puts the virtual server's address back. {_snat(step, before, names)}"
    return f"IPVS sends the virtual server's packet to a real server. {_dnat(step, before, names)}"


def _related(_step: Step, _before: Step | None, _names: Names) -> str:
    return "An ICMP error about a known connection: addresses outside and inside it are translated back."


def _route(step: Step, _before: Step | None, _names: Names) -> str:
    return f"The routing table answers: {step.detail.strip()}."


def _neighbour(step: Step, _before: Step | None, _names: Names) -> str:
    return f"Neighbour table of {step.namespace}: the packet {step.detail}."


def _bridge(step: Step, _before: Step | None, _names: Names) -> str:
    return f"The bridge {step.where} decides: {step.detail}."


def _encapsulate(step: Step, _before: Step | None, _names: Names) -> str:
    return f"{step.where} wraps the whole frame into a UDP datagram for the other node: {step.detail}."


def _decapsulate(step: Step, _before: Step | None, _names: Names) -> str:
    return f"{step.where} takes the frame out of the datagram: {step.detail}."


def _balance(step: Step, _before: Step | None, _names: Names) -> str:
    return f"The load balancer chooses a node: {step.detail}."


def _deliver(step: Step, _before: Step | None, _names: Names) -> str:
    return f"The packet has arrived: a socket in {step.namespace} gets it."


def _drop(step: Step, _before: Step | None, _names: Names) -> str:
    reason, _, words = step.detail.partition(": ")
    return f"The packet is dropped at {step.where} of {step.namespace}: {words} ({reason})."


def _other(step: Step, _before: Step | None, _names: Names) -> str:
    return f"{step.kind}: {step.detail}."


_SENTENCES: Final[Mapping[str, Callable[[Step, Step | None, Names], str]]] = {
    "send": _send,
    "receive": _receive,
    "transmit": _transmit,
    "hook": _hook,
    "conntrack": _conntrack,
    "rule": _rule,
    "dnat": _dnat,
    "snat": _snat,
    "ipvs": _ipvs,
    "related": _related,
    "route": _route,
    "neighbour": _neighbour,
    "bridge": _bridge,
    "encapsulate": _encapsulate,
    "decapsulate": _decapsulate,
    "balance": _balance,
    "deliver": _deliver,
    "drop": _drop,
}
