"""Checksums: the Internet checksum and its incremental update, and SCTP's CRC32c.

Called by `render` (modelled packets), `rewrite` (packets kept as bytes) and `parse` (is a packet intact?).

The Internet checksum is a sum in one's-complement 16-bit arithmetic (RFC 1071), which is arithmetic modulo
0xffff, and 2**16 is 1 in that arithmetic. So a whole byte string is summed by one big-integer remainder, a
32-bit sequence number or a 128-bit address may be added as it is, and RFC 1624's update
HC' = ~(~HC + ~m + m') is an addition and a subtraction. The one point to watch: 0 and 0xffff are the same
number there, but the sum is 0 only if every word is 0. That never happens under a pseudo header or with an IP
version in sight; it does happen in an ICMP echo reply with identifier 0, sequence 0 and no data.
"""

from typing import Final

ONES: Final = 0xFFFF


def ones_sum(data: bytes | bytearray) -> int:
    """The one's-complement sum of 16-bit words, an odd byte padded by 0 (RFC 1071); 0 only for zeros."""
    total = int.from_bytes(data)
    if len(data) & 1:
        total <<= 8
    return total % ONES or (ONES if total else 0)


def checksum(total: int) -> int:
    """The checksum field for the sum of everything it covers, which may be any integer of at least 0."""
    return -total % ONES if total else ONES


def adjusted(field: int, old: int, new: int) -> int:
    """A checksum field after covered data with sum `old` became data with sum `new` (RFC 1624, equation 3).

    A field that was wrong stays wrong by the same amount.
    """
    return -((field ^ ONES) + new - old) % ONES


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        entry = byte
        for _ in range(8):
            entry = entry >> 1 ^ (0x82F63B78 if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


_CRC32C: Final = _crc32c_table()


def crc32c(data: bytes | bytearray) -> int:
    """CRC32c (Castagnoli, reflected: RFC 9260 appendix A). SCTP sends it least significant byte first."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
