"""Building blocks of the specs: durations, rates, probabilities, addresses, and the base class.

Called by: the other `spec_*` modules. Text with units is parsed here, once: inside, a duration is whole nanoseconds, a
link rate bits per second, a probability a number from 0 to 1. A field keeps the name that users write (`delay: 5ms`) as
its alias and has its unit in its Python name (`delay_ns`). `model_dump(mode="json", by_alias=True)` writes the texts
again, so a dumped spec loads.
"""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from netsim.engine import format_duration, parse_duration, parse_rate


class SpecModel(BaseModel):
    """A frozen part of a spec; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


def _text_schema(pattern: str, description: str, *examples: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "string", "pattern": pattern, "description": description, "examples": list(examples)}
    )


def _duration(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a duration such as 10s, 200ms or 1m30s")
    if isinstance(value, str) and value.strip() != "0":
        return parse_duration(value)
    if value in (0, "0"):
        return 0
    raise ValueError(f"{value} needs a unit (write {value}s or {value}ms)")


def _positive_duration(value: Any) -> int:
    duration = _duration(value)
    if duration == 0:
        raise ValueError("must be longer than 0")
    return duration


def read_duration(value: Any) -> int | None:
    """The nanoseconds of a duration in a file, None if it is none."""
    try:
        return _duration(value)
    except ValueError:
        return None


_AS_TEXT = PlainSerializer(format_duration, return_type=str, when_used="json")
_DURATION_SCHEMA = _text_schema(
    r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$",
    "a duration with its unit",
    "10s",
    "1.5s",
    "200ms",
    "1m30s",
)

Duration = Annotated[int, BeforeValidator(_duration), _AS_TEXT, _DURATION_SCHEMA]
PositiveDuration = Annotated[int, BeforeValidator(_positive_duration), _AS_TEXT, _DURATION_SCHEMA]


def _rate(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError(f"{value} needs a unit (write {value}Mbit or {value}Gbit)")
    return parse_rate(value)


def _rate_text(value: int) -> str:
    return f"{value}bit"


LinkRate = Annotated[
    int,
    BeforeValidator(_rate),
    PlainSerializer(_rate_text, return_type=str, when_used="json"),
    _text_schema(r"^[0-9]+(\.[0-9]+)?[kKmMgGtT]?bit$", "a link rate", "10Gbit", "100Mbit"),
]

_PER = {"s": 1, "m": 60, "h": 3600}
_FREQUENCY = re.compile(r"([0-9]+(?:\.[0-9]+)?)/([smh])")


def _frequency(value: Any) -> float:
    match = _FREQUENCY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        number = isinstance(value, int | float) or str(value).replace(".", "", 1).isdigit()
        hint = (
            f"{value} needs a unit (write {value}/s)"
            if number
            else f'"{value}" is no rate (write for example 200/s)'
        )
        raise ValueError(hint)
    per_second = float(match[1]) / _PER[match[2]]
    if per_second == 0:
        raise ValueError("must be more than 0")
    return per_second


Frequency = Annotated[
    float,
    BeforeValidator(_frequency),
    PlainSerializer(lambda value: f"{value:.12g}/s", return_type=str, when_used="json"),
    _text_schema(r"^[0-9]+(\.[0-9]+)?/[smh]$", "events per second, minute or hour", "200/s", "90/m"),
]

_PERCENT = re.compile(r"(-?[0-9]+(?:\.[0-9]+)?)\s*%")


def _percent(value: Any) -> float:
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        hint = (
            f"{value} needs a percent sign (write {value}%)"
            if number
            else f'"{value}" is no percentage (write 1%)'
        )
        raise ValueError(hint)
    percent = float(match[1])
    if not 0 <= percent <= 100:
        raise ValueError(f"{match[0]} is out of range: a probability is 0% to 100%")
    return percent / 100


Percent = Annotated[
    float,
    BeforeValidator(_percent),
    PlainSerializer(lambda value: f"{value * 100:.12g}%", return_type=str, when_used="json"),
    _text_schema(r"^[0-9]+(\.[0-9]+)?\s*%$", "a probability", "1%", "0.1%"),
]


def _subnets(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a subnet such as 10.244.0.0/16")
    return _of_each_family([str(_subnet(part.strip())) for part in value.split(",")], "subnet")


def _subnet(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        hint = ""
        if "host bits" in str(error):
            hint = f": write {ipaddress.ip_network(text, strict=False)}"
        raise ValueError(f'"{text}" is no subnet{hint or " (write for example 10.244.0.0/16)"}') from None


def _addresses(value: Any) -> str:
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    try:
        found = [str(ipaddress.ip_address(part)) for part in parts if isinstance(part, str)]
    except ValueError:
        found = []
    if len(found) != len(parts):
        raise ValueError(f'"{value}" is no IP address (write for example 203.0.113.10 or 2001:db8::10)')
    return _of_each_family(found, "address")


def _of_each_family(texts: list[str], what: str) -> str:
    """One text, or one of either family."""
    if len(texts) > 2 or len({":" in text for text in texts}) < len(texts):
        kinds = " and ".join("IPv6" if ":" in text else "IPv4" for text in texts)
        raise ValueError(f'"{",".join(texts)}" is {kinds}: write one {what}, or one IPv4 and one IPv6 {what}')
    return ",".join(texts)


# One, or one of each family separated by a comma, as kind and kubeadm write them.
Subnets = Annotated[str, BeforeValidator(_subnets)]
Addresses = Annotated[str, BeforeValidator(_addresses)]


def _ipv4_subnet(value: Any) -> str:
    text = _subnets(value)
    if ":" in text:
        raise ValueError(f"{text}: only IPv4 is simulated here (write for example 203.0.113.0/28)")
    return text


def _ipv4(value: Any) -> str:
    text = _addresses(value)
    if ":" in text:
        raise ValueError(f"{text}: only IPv4 is simulated here (write for example 203.0.113.10)")
    return text


Ipv4Subnet = Annotated[str, BeforeValidator(_ipv4_subnet)]
Ipv4 = Annotated[str, BeforeValidator(_ipv4)]

# RFC 1123 label: names of nodes, hosts, loads, checks.
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
