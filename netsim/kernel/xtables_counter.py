"""What a rule, a chain's policy or an nfacct object counts: packets, and bytes from the IP header on (skb->len at the
hooks of netfilter)."""

from netsim.wire.packet import ETHERNET_HEADER


class Counter:
    """Packets and bytes that a rule matched in one namespace."""

    __slots__ = ("bytes", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0

    def add(self, packets: int, size: int) -> None:
        """Count packets whose frames have `size` bytes in all."""
        self.packets += packets
        self.bytes += size - ETHERNET_HEADER * packets

    def including(self, size: int) -> tuple[int, int]:
        """Packets and bytes when the packet at hand, a frame of `size` bytes, has been counted too."""
        return self.packets + 1, self.bytes + size - ETHERNET_HEADER

    def __repr__(self) -> str:
        return f"[{self.packets}:{self.bytes}]"
