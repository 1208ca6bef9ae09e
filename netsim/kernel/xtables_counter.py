"""What a rule, a chain's policy or an nfacct object counts."""


class Counter:
    """Packets and bytes that a rule matched in one namespace."""

    __slots__ = ("bytes", "packets")

    def __init__(self) -> None:
        self.packets = 0
        self.bytes = 0

    def add(self, packets: int, size: int) -> None:
        """Count packets of `size` bytes in all."""
        self.packets += packets
        self.bytes += size

    def __repr__(self) -> str:
        return f"[{self.packets}:{self.bytes}]"
