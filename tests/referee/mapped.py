"""Upstream's cases are nearly all of IPv4; here is each one's twin of IPv6, so that the other half of kernel, tools and
simulator is judged by as many flows: 10.1.2.3/8 becomes fd00::a01:203/104, and so on.

Left out is what IPv6 has not: nodePorts on the loopback address, so flows from and to 127.0.0.0/8.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Any

_V4 = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d{1,3}){3})(?:/(\d+))?(?::(\d+))?(?![\d.])")
_NETWORK = int(IPv6Address("fd00::"))


def family_of(case: dict[str, Any]) -> int:
    """4 or 6."""
    return 6 if case["proxier"]["ipFamily"] == "IPv6" else 4


def twin(case: dict[str, Any]) -> dict[str, Any]:
    """The IPv6 twin of a case of IPv4."""
    proxier, flows = case["proxier"], [f for f in case["flows"] if not _loopback(f)]
    ranges = proxier["nodePortAddresses"]
    proxier = proxier | {
        "nodeIPs": [a for a in proxier["nodeIPs"] if ":" not in a],
        "nodePortAddresses": ranges and [r for r in ranges if ":" not in r and not r.startswith("127.")],
    }
    parts = {"proxier": proxier, "objects": case["objects"], "flows": flows}
    return case | _mapped(parts)


def _loopback(flow: dict[str, Any]) -> bool:
    return flow["sourceIP"].startswith("127.") or flow["destIP"].startswith("127.")


def _mapped(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_mapped(inner) for inner in value]
    if not isinstance(value, str):
        return value
    return "IPv6" if value == "IPv4" else _V4.sub(_address, value)


def _address(found: re.Match[str]) -> str:
    text, length, port = found.groups()
    address = str(IPv6Address(_NETWORK | int(IPv4Address(text))))
    if length is not None:
        return f"{address}/{int(length) + 96}"
    return address if port is None else f"[{address}]:{port}"
