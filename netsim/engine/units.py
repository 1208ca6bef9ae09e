"""Time and rate units: text at the edges, whole nanoseconds and bits per second inside.

Durations are written as in Go and Kubernetes (`1.5s`, `200ms`, `1m30s`), rates as in tc(8) (`10Gbit`, `100mbit`).
"""

import re
from decimal import Decimal
from typing import Final

NS: Final = 1
US: Final = 1_000
MS: Final = 1_000_000
S: Final = 1_000_000_000

_UNITS: Final = {"ns": NS, "us": US, "µs": US, "ms": MS, "s": S, "m": 60 * S, "h": 3600 * S}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)bit", re.IGNORECASE | re.ASCII)
_SI: Final = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go-style duration. Raises ValueError with what to write instead."""
    if not isinstance(text, str):
        raise ValueError(_duration_hint(str(text)).replace('"', ""))
    text = text.strip()
    if text == "0":
        return 0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(_duration_hint(text))
    return int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts))


def _duration_hint(text: str) -> str:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return f'"{text}" needs a unit (write {text}s or {text}ms)'
    if text.startswith("-"):
        return f'"{text}" is negative: a duration cannot be'
    return f'"{text}" is not a duration (write for example 10s, 1.5s, 200ms, 50us or 1m30s)'


def format_duration(ns: int) -> str:
    """Shortest exact text of a duration in one unit: `1.5s`, `200ms`, `0s`."""
    if ns == 0:
        return "0s"
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    unit, size = next((u, n) for u, n in (("s", S), ("ms", MS), ("us", US), ("ns", NS)) if ns >= n)
    text = f"{Decimal(ns) / size:f}"
    return sign + (text.rstrip("0").rstrip(".") if "." in text else text) + unit


def parse_rate(text: str) -> int:
    """Bits per second of a tc(8)-style rate such as `10Gbit`. Raises ValueError with what to write instead."""
    match = _RATE.fullmatch(text.strip()) if isinstance(text, str) else None
    rate = int(Decimal(match[1]) * _SI[match[2].lower()]) if match is not None else 0
    if not rate:
        bytes_per_second = isinstance(text, str) and text.strip().lower().endswith("bps")
        hint = "bps are bytes to tc(8), so write" if bytes_per_second else "write for example"
        raise ValueError(f'"{text}" is not a link rate ({hint} 100Mbit or 10Gbit)')
    return rate
