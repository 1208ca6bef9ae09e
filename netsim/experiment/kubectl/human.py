"""Ages and times as Kubernetes writes them.

Source: apimachinery/pkg/util/duration/duration.go (HumanDuration); metav1.Time is RFC 3339 in whole seconds.
"""

from datetime import UTC, datetime
from typing import Final

from netsim.engine import S

_MINUTE: Final = 60
_HOUR: Final = 3600


def human_duration(ns: int) -> str:
    """`118s`, `2m`, `5m12s`, `3h`, `2d4h`: what kubectl shows as AGE."""
    seconds = ns // S
    minutes, hours = seconds // _MINUTE, seconds // _HOUR
    days, years = hours // 24, hours // 24 // 365
    if seconds < 0:
        return "0s" if seconds >= -1 else "<invalid>"
    for limit, text in (
        (seconds < 2 * _MINUTE, f"{seconds}s"),
        (minutes < 10, _two(minutes, "m", seconds % _MINUTE, "s")),
        (minutes < 180, f"{minutes}m"),
        (hours < 8, _two(hours, "h", minutes % 60, "m")),
        (hours < 48, f"{hours}h"),
        (hours < 24 * 8, _two(days, "d", hours % 24, "h")),
        (years < 2, f"{days}d"),
        (years < 8, _two(years, "y", days % 365, "d")),
    ):
        if limit:
            return text
    return f"{years}y"


def _two(big: int, unit: str, small: int, part: str) -> str:
    return f"{big}{unit}{small}{part}" if small else f"{big}{unit}"


def age(now: int, then: int | None) -> str:
    """How long ago; `<unknown>` without a time (translateTimestampSince)."""
    return "<unknown>" if then is None else human_duration(now - then)


def rfc3339(ns: int) -> str:
    """`1970-01-01T00:00:12Z`"""
    return datetime.fromtimestamp(ns // S, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rfc1123(ns: int) -> str:
    """`Thu, 01 Jan 1970 00:00:12 +0000` (time.RFC1123Z)."""
    moment = datetime.fromtimestamp(ns // S, UTC)
    day = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[moment.weekday()]
    months = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
    return f"{day}, {moment.day:02d} {months[moment.month - 1]} {moment.year} {moment:%H:%M:%S} +0000"
