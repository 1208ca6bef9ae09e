"""Captures as pcapng, for Wireshark, tshark and Scapy.

Called by whoever exports captured packets. Block layouts, option codes and examples: draft-ietf-opsawg-pcapng
(sections on SHB, IDB, EPB and NRB). Our own writer, because Scapy's has microseconds only, no name block, no
epb_packetid and no epb_verdict; these are what makes a capture readable: one packet has one id on every
interface that saw it, addresses have the names of Pods and Services, a dropped packet says so.

Blocks are big-endian (a reader must accept either order), so that every number, also the one inside
epb_verdict whose order the draft only shows by example, is in network order.

The file appears under its name only when it is complete: it is written beside it and moved by os.replace.
"""

import os
import struct
from collections.abc import Iterable, Mapping
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

_SECTION, _INTERFACE, _NAMES, _PACKET = 0x0A0D0D0A, 1, 4, 6  # block types
_COMMENT = 1  # option of any block
_SHB_USERAPPL = 4
_IF_NAME, _IF_DESCRIPTION, _IF_MACADDR, _IF_TSRESOL = 2, 3, 6, 9
_EPB_FLAGS, _EPB_PACKETID, _EPB_VERDICT = 2, 5, 7
_NRB_IPV4, _NRB_IPV6 = 1, 2
_END: Final = bytes(4)  # opt_endofopt, and nrb_record_end
_LINKTYPE_ETHERNET = 1
_VERDICT_EBPF_TC = 1  # the number is a TC_ACT_* of linux/pkt_cls.h


class Direction(IntEnum):
    """Bits 0-1 of epb_flags: which way a packet passed the interface, seen from its owner."""

    UNKNOWN = 0
    INBOUND = 1
    OUTBOUND = 2


class Verdict(IntEnum):
    """epb_verdict: what became of the packet, as a traffic control action (TC_ACT_OK, TC_ACT_SHOT)."""

    ACCEPT = 0
    DROP = 2


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _item(code: int, value: bytes) -> bytes:
    """An option, or a record of the name block: both have this shape."""
    if len(value) > 0xFFFF:
        raise ValueError(f"a pcapng option holds 65535 bytes, not {len(value)}")
    return struct.pack("!HH", code, len(value)) + _padded(value)


def _block(kind: int, body: bytes) -> bytes:
    length = 12 + len(body)
    return struct.pack("!II", kind, length) + body + struct.pack("!I", length)


def _options(items: Iterable[bytes]) -> bytes:
    """Options with their end mark; nothing at all without options."""
    joined = b"".join(items)
    return joined + _END if joined else b""


def _texts(code: int, texts: Iterable[str]) -> list[bytes]:
    return [_item(code, text.encode()) for text in texts if text]


def section_block(application: str, comment: str) -> bytes:
    """Starts the file: byte order, version 1.0, length of the section unknown."""
    options = _options(_texts(_COMMENT, [comment]) + _texts(_SHB_USERAPPL, [application]))
    return _block(_SECTION, struct.pack("!IHHq", 0x1A2B3C4D, 1, 0, -1) + options)


def interface_block(name: str, description: str = "", mac: bytes = b"") -> bytes:
    """An Ethernet interface with time stamps in nanoseconds (if_tsresol 9) and no length limit."""
    items = _texts(_IF_NAME, [name]) + _texts(_IF_DESCRIPTION, [description])
    if mac:
        items.append(_item(_IF_MACADDR, mac))
    items.append(_item(_IF_TSRESOL, b"\x09"))
    return _block(_INTERFACE, struct.pack("!HHI", _LINKTYPE_ETHERNET, 0, 0) + _options(items))


def names_block(names: Mapping[bytes, str]) -> bytes:
    """Names of IPv4 and IPv6 addresses (4 or 16 bytes)."""
    records = [
        _item(_NRB_IPV4 if len(address) == 4 else _NRB_IPV6, address + name.encode() + b"\0")
        for address, name in names.items()
    ]
    return _block(_NAMES, b"".join(records) + _END)


def packet_block(
    interface: int,
    at_ns: int,
    frame: bytes,
    *,
    packet_id: int | None = None,
    direction: Direction = Direction.UNKNOWN,
    verdict: Verdict | None = None,
    comments: Iterable[str] = (),
) -> bytes:
    """One packet on one interface. Raises ValueError for a negative time: pcapng counts from 1970."""
    if not 0 <= at_ns < 1 << 64:
        raise ValueError(
            f"a pcapng time stamp is from 0 to 2**64-1 ns, not {at_ns}; give the writer an offset_ns"
        )
    header = struct.pack("!IQII", interface, at_ns, len(frame), len(frame))
    items = _texts(_COMMENT, comments)
    if direction:
        items.append(_item(_EPB_FLAGS, struct.pack("!I", direction)))
    if packet_id is not None:
        items.append(_item(_EPB_PACKETID, struct.pack("!Q", packet_id)))
    if verdict is not None:
        items.append(_item(_EPB_VERDICT, struct.pack("!BQ", _VERDICT_EBPF_TC, verdict)))
    return _block(_PACKET, header + _padded(frame) + _options(items))


class PcapngWriter:
    """Writes a capture, packet by packet. Use it as a context manager: after an exception no file is left.

    with PcapngWriter(path, names={ip("10.96.0.10"): "kube-dns.kube-system"}) as capture:
        eth0 = capture.interface("pod/web-1/eth0")
        capture.packet(eth0, at_ns, packet.to_bytes(), packet_id=packet.uid)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        names: Mapping[bytes, str] | None = None,
        comment: str = "",
        application: str = "netsim",
        offset_ns: int = 0,
    ) -> None:
        """`offset_ns` is added to every time; with 0 the simulation starts in 1970. Raises OSError."""
        self._path = Path(path)
        self._part = self._path.with_name(f".{self._path.name}.{os.getpid()}.part")
        self._offset_ns = offset_ns
        self._interfaces: dict[str, int] = {}
        self._file: BinaryIO | None = self._part.open("wb")
        self._write(section_block(application, comment))
        if names:
            self.names(names)

    def _write(self, block: bytes) -> None:
        if self._file is None:
            raise ValueError(f"the capture {self._path} is closed")
        self._file.write(block)

    def names(self, names: Mapping[bytes, str]) -> None:
        """Names addresses; may be called again when Pods come and go (readers merge the blocks)."""
        self._write(names_block(names))

    def interface(self, name: str, description: str = "", mac: bytes = b"") -> int:
        """The number of an interface (`pod/web-1/eth0`), described in the file at the first call."""
        number = self._interfaces.get(name)
        if number is None:
            self._write(interface_block(name, description, mac))
            number = self._interfaces[name] = len(self._interfaces)
        return number

    def packet(
        self,
        interface: int,
        at_ns: int,
        frame: bytes,
        *,
        packet_id: int | None = None,
        direction: Direction = Direction.UNKNOWN,
        verdict: Verdict | None = None,
        comments: Iterable[str] = (),
    ) -> None:
        """Writes a frame seen on an interface. Raises ValueError if that is not described yet."""
        if not 0 <= interface < len(self._interfaces):
            raise ValueError(f"interface {interface} is not described; {len(self._interfaces)} are")
        block = packet_block(
            interface,
            at_ns + self._offset_ns,
            frame,
            packet_id=packet_id,
            direction=direction,
            verdict=verdict,
            comments=comments,
        )
        self._write(block)

    def close(self) -> None:
        """Completes the file and gives it its name; once. Raises OSError (disk full)."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
            os.replace(self._part, self._path)
        except OSError:
            self._part.unlink(missing_ok=True)
            raise

    def abort(self) -> None:
        """Removes what was written; a file that had the name before is left alone."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
        finally:
            self._part.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()
