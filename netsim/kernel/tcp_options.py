"""The options of SYN segments: MSS, SACK-permitted and window scale, laid out as Linux lays them out.

Called by `tcp_output.py` and `tcp_listen.py` (writing) and `tcp_input.py` (reading). Sources: RFC 9293 section 3.7.1,
RFC 2018, RFC 7323; order and padding from net/ipv4/tcp_output.c tcp_options_write.
Simplified: no timestamps (a cluster with net.ipv4.tcp_timestamps=0), and SACK blocks are offered but never sent.
"""

from functools import lru_cache
from typing import Final, NamedTuple

# Without an MSS option a peer must be assumed to take no more (RFC 9293 section 3.7.1; RFC 8200: 1280 - 60).
DEFAULT_MSS_V4: Final = 536
DEFAULT_MSS_V6: Final = 1220

# tcp_select_initial_window with tcp_rmem[2] = 6 MiB gives a shift of 7.
WINDOW_SCALE: Final = 7

_MSS, _WINDOW_SCALE, _SACK_PERMITTED = 2, 3, 4


class SynOptions(NamedTuple):
    """What a SYN says: the MSS (0: not said), the window shift (-1: not said), whether SACK is permitted."""

    mss: int
    window_scale: int
    sack_permitted: bool


@lru_cache(maxsize=1024)
def syn_options(mss: int, window_scale: int = WINDOW_SCALE, sack_permitted: bool = True) -> bytes:
    """tcpdump's `mss 1460,nop,nop,sackOK,nop,wscale 7`; a shift below 0 leaves the option out."""
    options = bytes((_MSS, 4)) + mss.to_bytes(2)
    if sack_permitted:
        options += bytes((1, 1, _SACK_PERMITTED, 2))
    if window_scale >= 0:
        options += bytes((1, _WINDOW_SCALE, 3, window_scale))
    return options


@lru_cache(maxsize=1024)
def parse_syn_options(options: bytes) -> SynOptions:
    """Read the options of a SYN; unknown ones are skipped, a malformed tail is ignored (as Linux does)."""
    mss, window_scale, sack_permitted = 0, -1, False
    for kind, value in _split(options):
        if kind == _MSS and len(value) == 2:
            mss = int.from_bytes(value)
        elif kind == _WINDOW_SCALE and len(value) == 1:
            window_scale = min(value[0], 14)  # RFC 7323 section 2.3: a larger shift counts as 14
        elif kind == _SACK_PERMITTED:
            sack_permitted = True
    return SynOptions(mss, window_scale, sack_permitted)


def _split(options: bytes) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(options) and options[at] != 0:
        if options[at] == 1:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        if length < 2 or at + length > len(options):
            break
        found.append((options[at], options[at + 2 : at + length]))
        at += length
    return found
