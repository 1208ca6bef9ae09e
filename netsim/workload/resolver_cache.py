"""What applications remember of names, beside their resolver: nothing, the TTL, a fixed time, or for ever.

Called by `resolver`, and by the specs to check what users write. Go, glibc and musl remember nothing. The JVM keeps
addresses 30 s and failures 10 s (networkaddress.cache.ttl and .negative.ttl in java.security), or addresses for ever
with a security manager; other values of the first are written as a duration. `ttl` is what systemd-resolved, nscd and
browsers come near to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from netsim.engine import S, parse_duration


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long an application remembers: seconds, or None for the TTL; a negative number is for ever."""

    positive: int | None
    negative: int | None


_JVM_NEGATIVE_S: Final = 10
CACHES: Final[Mapping[str, CachePolicy | None]] = {
    "": None,
    "none": None,
    "ttl": CachePolicy(None, None),
    "jvm": CachePolicy(30, _JVM_NEGATIVE_S),
    "forever": CachePolicy(-1, _JVM_NEGATIVE_S),
}


def cache_policy(text: str) -> CachePolicy | None:
    """The policy of a word or a duration (`30s`, as networkaddress.cache.ttl). Raises ValueError for another text."""
    if text in CACHES:
        return CACHES[text]
    try:
        seconds = parse_duration(text) // S
    except ValueError:
        raise ValueError(
            f'"{text}" is no cache: write none, ttl, jvm, forever or a duration such as 30s'
        ) from None
    return CachePolicy(seconds, _JVM_NEGATIVE_S)
