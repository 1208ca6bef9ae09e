"""Neighbours: from a next hop's IP address to its MAC address, by real frames (net/core/neighbour.c).

The states are the same for both families; how one asks is not: `arp.py` for IPv4, `ndisc.py` for IPv6.

Theory of operation::

    (none) --first packet--> INCOMPLETE --answer--> REACHABLE --30 s--> STALE --use--> DELAY --5 s--> PROBE
                                 |  ^                   ^                                              |  |
                        3 probes |  | next packet       +---------------------answer-------------------+  |
                           1 s   v  |                                                                     |
                              FAILED <--------------------------3 probes, 1 s-----------------------------+

In INCOMPLETE packets wait; in STALE, DELAY and PROBE they go to the old address. In FAILED the waiting packets' senders
are told: host unreachable, about 3 s after the first of them. Who asks for us becomes STALE: its address is known, but
not whether it hears us. Not modelled: confirmation by TCP progress, the random 15 to 45 s around 30 s, the time for
which an address is locked after a change, garbage collection. The queue's limit counts bytes of frames, not of socket
buffers.
"""

from enum import Enum
from typing import TYPE_CHECKING, Final

from netsim.kernel import arp, ndisc
from netsim.kernel.hooks import DropReason, Hook
from netsim.wire.addr import Address, ip_text, mac_text
from netsim.wire.packet import Packet

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace

# How the neighbours of a family are asked, by the length of their addresses.
_PROTOCOLS: Final = {4: arp, 16: ndisc}


class State(Enum):
    """NUD states, as `ip neigh` prints them."""

    INCOMPLETE = "INCOMPLETE"
    REACHABLE = "REACHABLE"
    STALE = "STALE"
    DELAY = "DELAY"
    PROBE = "PROBE"
    FAILED = "FAILED"
    PERMANENT = "PERMANENT"


class NextHop:
    """A destination's resolved way out: device, MAC pair, size limit (compare struct dst_entry)."""

    __slots__ = ("device", "macs", "max_size", "transmit")

    def __init__(self, device: "Device", macs: bytes) -> None:
        self.device = device
        self.macs = macs
        self.max_size = device.mtu + 14
        self.transmit = device.transmit


class Neighbour:
    """One entry; it is its own timer."""

    __slots__ = ("address", "armed_ns", "deadline_ns", "device", "mac", "probes", "queue", "queued", "state")

    def __init__(self, device: "Device", address: Address) -> None:
        self.device = device
        self.address = address
        self.mac = b""
        self.state = State.INCOMPLETE
        self.probes = 0
        self.queue: list[Packet] = []
        self.queued = 0
        self.deadline_ns = 0
        self.armed_ns = 0

    def expired(self, now: int) -> None:
        """Timer queue: move on."""
        ns = self.device.ns
        if self.state is State.REACHABLE:
            self.state = State.STALE
            ns.changed()  # so that the next packet comes by here and starts the verification
        elif self.state is State.DELAY:
            self.state, self.probes = State.PROBE, 0
            self.probe(now)
        elif self.probes < self._limit():
            self.probe(now)
        else:
            self.fail(now)

    def _limit(self) -> int:
        sysctl = self.device.ns.sysctl
        return sysctl.neigh_ucast_solicit if self.state is State.PROBE else sysctl.neigh_mcast_solicit

    def probe(self, now: int) -> None:
        """Ask once more and wait for a second."""
        ns = self.device.ns
        self.probes += 1
        ns.timers.arm(self, now + ns.sysctl.neigh_retrans_ns)
        _PROTOCOLS[len(self.address)].solicit(self, self.mac if self.state is State.PROBE else b"", now)

    def fail(self, now: int) -> None:
        """Nobody answers: give the waiting packets up."""
        ns = self.device.ns
        self.state, self.mac = State.FAILED, b""
        waiting, self.queue, self.queued = self.queue, [], 0
        ns.changed()
        for packet in waiting:
            ns.icmp_error(packet, 3, 1, now)
            ns.drop(packet, Hook.POSTROUTING, DropReason.NEIGH_FAILED, now, self.device)

    def answered(self, mac: bytes, now: int) -> None:
        """It said where it is because we asked."""
        ns = self.device.ns
        ns.timers.arm(self, now + ns.sysctl.neigh_reachable_ns)
        self._found(mac, State.REACHABLE, now)

    def asked(self, mac: bytes, now: int) -> None:
        """It said where it is because it wants something (neigh_update with NUD_STALE)."""
        if mac != self.mac or self.state in (State.INCOMPLETE, State.FAILED):
            self.deadline_ns = 0
            self._found(mac, State.STALE, now)

    def _found(self, mac: bytes, state: State, now: int) -> None:
        moved = mac != self.mac
        self.mac, self.state, self.probes = mac, state, 0
        if moved:
            self.device.ns.changed()
        waiting, self.queue, self.queued = self.queue, [], 0
        for packet in waiting:
            packet.macs = mac + self.device.mac
            self.use(now)
            if self.device.ns.journeys:
                self.device.ns.tell(
                    packet, now, "transmit", f"after {protocol_name(self.address)}", self.device.name
                )
            self.device.transmit(packet, now)

    def use(self, now: int) -> None:
        """A packet is sent to it: an address that is in doubt will be verified."""
        if self.state is State.STALE:
            ns = self.device.ns
            self.state = State.DELAY
            ns.timers.arm(self, now + ns.sysctl.neigh_delay_first_probe_ns)

    def hold(self, packet: Packet, now: int) -> None:
        """Keep a packet until the address is known; the oldest ones go when there are too many."""
        ns = self.device.ns
        self.queue.append(packet)
        self.queued += packet.size
        while self.queued > ns.sysctl.neigh_unres_qlen_bytes:
            oldest = self.queue.pop(0)
            self.queued -= oldest.size
            ns.drop(oldest, Hook.POSTROUTING, DropReason.NEIGH_QUEUE_FULL, now, self.device)


class Neighbours:
    """The neighbour table of one namespace."""

    __slots__ = ("_entries", "_fixed", "_ns")

    def __init__(self, ns: "Namespace") -> None:
        self._ns = ns
        self._fixed: dict[Device, bytes] = {}
        self._entries: dict[tuple[Device, Address], Neighbour] = {}

    def permanent(self, device: "Device", address: Address, mac: bytes) -> None:
        """`ip neigh add ... nud permanent`: never asked for, never fails."""
        entry = self._entries[device, address] = Neighbour(device, address)
        entry.state, entry.mac = State.PERMANENT, mac
        self._ns.changed()

    def fixed(self, device: "Device", mac: bytes) -> None:
        """A point-to-point device: whoever is asked for, it is this MAC address."""
        self._fixed[device] = mac
        self._ns.changed()

    def mac_of(self, device: "Device", address: Address, packet: Packet, now: int) -> bytes | None:
        """The MAC address to send to now; None: the packet has been taken over until there is one."""
        if device in self._fixed:
            return self._fixed[device]
        entry = self._entries.get((device, address))
        if entry is None or entry.state is State.FAILED:
            entry = self._entries[device, address] = entry or Neighbour(device, address)
            entry.state, entry.probes = State.INCOMPLETE, 0
            entry.hold(packet, now)
            entry.probe(now)
            return None
        if entry.state is State.INCOMPLETE:
            entry.hold(packet, now)
            return None
        entry.use(now)
        return entry.mac

    def heard(
        self, device: "Device", sender: Address, mac: bytes, asks: bool, for_us: bool, now: int
    ) -> None:
        """A frame says where its sender is: because it wants something (`asks`), perhaps of us, or because we asked."""
        entry = self._entries.get((device, sender))
        if entry is None and for_us:
            entry = self._entries[device, sender] = Neighbour(device, sender)
        if entry is not None and entry.state is not State.PERMANENT:
            (entry.asked if asks else entry.answered)(mac, now)

    def forget(self, device: "Device", now: int) -> None:
        """The device is gone, and so is what waited for its neighbours."""
        self._fixed.pop(device, None)
        for key in [key for key in self._entries if key[0] is device]:
            entry = self._entries.pop(key)
            entry.deadline_ns = 0
            for packet in entry.queue:
                self._ns.drop(packet, Hook.POSTROUTING, DropReason.DEVICE_DOWN, now, device)

    @property
    def waiting(self) -> int:
        """Packets held in queues (they count as in flight)."""
        return sum(len(entry.queue) for entry in self._entries.values())

    def render(self) -> str:
        """The text of `ip neigh`."""
        lines = []
        for entry in self._entries.values():
            mac = f" lladdr {mac_text(entry.mac)}" if entry.mac else ""
            lines.append(f"{ip_text(entry.address)} dev {entry.device.name}{mac} {entry.state.value}\n")
        return "".join(lines)


def protocol_name(address: Address) -> str:
    """How the MAC address of a neighbour is found: `ARP` or `ND`."""
    return arp.NAME if len(address) == 4 else ndisc.NAME
