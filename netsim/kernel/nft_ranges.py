"""Anonymous interval sets as nft lists them: sorted, what overlaps or touches merged.

Source: src/intervals.c of nftables 1.0.6 (`set_automerge`).
"""

from collections.abc import Iterable

from netsim.wire.addr import Prefix, ip_text


def ranges_text(prefixes: Iterable[Prefix]) -> str:
    """`{ 1.2.3.0/24, 5.6.7.8, 10.0.0.0-10.0.2.255 }`; an element that was written alone stands without braces."""
    prefixes = tuple(prefixes)
    length = len(prefixes[0].address)
    texts = [_text(first, last, length) for first, last in _merged(prefixes)]
    return texts[0] if len(prefixes) == 1 else f"{{ {', '.join(texts)} }}"


def _merged(prefixes: Iterable[Prefix]) -> list[tuple[int, int]]:
    """Ranges without overlap, ascending."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(map(_bounds, prefixes)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(last, merged[-1][1]))
        else:
            merged.append((first, last))
    return merged


def _bounds(prefix: Prefix) -> tuple[int, int]:
    bits = 8 * len(prefix.address)
    size = 1 << (bits - prefix.length)
    first = int.from_bytes(prefix.address) // size * size
    return first, first + size - 1


def _text(first: int, last: int, length: int) -> str:
    address = ip_text(first.to_bytes(length))
    size = last - first + 1
    if size == 1:
        return address
    if size & (size - 1) == 0 and first % size == 0:
        return f"{address}/{8 * length - size.bit_length() + 1}"
    return f"{address}-{ip_text(last.to_bytes(length))}"
