"""Flows as `hubble observe` prints them: `-o compact` (its default), `dict`, `table` and `json`.

Source: hubble/pkg/printer of Cilium 1.17 (WriteProtoFlow, GetHostNames, GetFlowType, fmtIdentity).
"""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from netsim.measure.flows import ACCESS_LOG, TRACE
from netsim.measure.flows_endpoints import RESERVED

Message = dict[str, Any]

_MONTHS: Final = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def compact(flows: Iterable[Message]) -> str:
    """One line per flow; an answer has its source on the right."""
    return "".join(f"{_compact(found['flow'])}\n" for found in flows)


def as_json(flows: Iterable[Message]) -> str:
    """One GetFlowsResponse per line (jsonpb)."""
    return "".join(f"{json.dumps(found, ensure_ascii=False, separators=(',', ':'))}\n" for found in flows)


def as_dict(flows: Iterable[Message]) -> str:
    """A block per flow."""
    return "------------\n".join(_block(found["flow"]) for found in flows)


def table(flows: Iterable[Message]) -> str:
    """Columns, as Go's tabwriter aligns them."""
    rows = [("TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY")]
    for found in flows:
        flow = found["flow"]
        names = _host(flow, "source"), _host(flow, "destination")
        rows.append((_stamp(flow["time"]), *names, _type(flow), flow["verdict"], flow["Summary"]))
    widths = [max(len(row[column]) for row in rows) + 3 for column in range(5)]
    return "".join(
        "".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)) + row[5] + "\n"
        for row in rows
    )


FORMS: Final[Mapping[str, Callable[[Iterable[Message]], str]]] = {
    "compact": compact,
    "text": compact,
    "dict": as_dict,
    "table": table,
    "json": as_json,
}


def _compact(flow: Message) -> str:
    ends = [f"{_host(flow, side)} {_identity(flow[side])}" for side in ("source", "destination")]
    is_reply = flow.get("is_reply")
    arrow = "<>" if is_reply is None else "<-" if is_reply else "->"
    left, right = reversed(ends) if is_reply else ends
    return (
        f"{_stamp(flow['time'])}: {left} {arrow} {right} {_type(flow)} {flow['verdict']} ({flow['Summary']})"
    )


def _block(flow: Message) -> str:
    return (
        f"  TIMESTAMP: {_stamp(flow['time'])}\n"
        f"       NODE: {flow['node_name']}\n"
        f"     SOURCE: {_host(flow, 'source')}\n"
        f"DESTINATION: {_host(flow, 'destination')}\n"
        f"       TYPE: {_type(flow)}\n"
        f"    VERDICT: {flow['verdict']}\n"
        f"    SUMMARY: {flow['Summary']}\n"
    )


def _stamp(time: str) -> str:
    """Go's time.StampMilli."""
    date, _, clock = time.partition("T")
    _, month, day = date.split("-")
    return f"{_MONTHS[int(month) - 1]} {int(day):>2} {clock[:12]}"


def _host(flow: Message, side: str) -> str:
    """namespace/pod or namespace/service, or the address; with the port."""
    endpoint, service = flow[side], flow.get(f"{side}_service")
    host: str = flow["IP"][side]
    if "pod_name" in endpoint:
        host = f"{endpoint['namespace']}/{endpoint['pod_name']}"
    elif service is not None:
        host = f"{service['namespace']}/{service['name']}"
    elif flow.get("l4") and ":" in host:
        host = f"[{host}]"
    for protocol in flow.get("l4", {}).values():
        port = protocol.get(f"{side}_port")
        if port:
            return f"{host}:{port}"
    return host


def _identity(endpoint: Message) -> str:
    number = endpoint["identity"]
    return f"({RESERVED[number]})" if number in RESERVED else f"(ID:{number})"


def _type(flow: Message) -> str:
    """The observation point, the drop reason in words, or what the proxy saw."""
    kind = flow["event_type"]["type"]
    if kind == TRACE:
        return str(flow["trace_observation_point"]).lower().replace("_", "-")
    if kind == ACCESS_LOG:
        protocol = "dns" if "dns" in flow["l7"] else "http"
        return f"{protocol}-{flow['l7']['type'].lower()} proxy"
    words = str(flow["drop_reason_desc"]).replace("_", " ").lower()
    return words[0].upper() + words[1:]
