"""Scapy at the edge: templates are built by it, users look at packets with it and hand packets in by it.

The only module of netsim that imports Scapy. Called by `render.template` (once per packet kind), by
`Packet.to_scapy()`, and by whoever lets a user send a packet.

Scapy's habits, and what is done about them here: an `IP()` without `src` asks the routing table of the
machine we run on (a source is demanded); an `Ether()` without addresses asks its neighbours, that is, the
real network (the Ethernet layer is never built by Scapy, its explicit addresses are read); random values and
sets of packets stand for several packets (refused); a misspelt field is accepted silently (refused); `time`
is the wall clock (set to 0). Only `scapy.layers.l2`, `inet` and, when needed, `inet6`, `dns` and `sctp` are
imported: `scapy.all` takes 0.5 s. `scapy.layers.vxlan` is loaded when a tunnel is looked at, and its
bindings are undone at once: they would change how some UDP ports are dissected everywhere.
"""

import importlib
import logging
from functools import lru_cache
from itertools import islice
from typing import Any, Final

from netsim.wire.addr import Address, ip_text
from netsim.wire.packet import (
    ARP,
    ETHERNET_HEADER,
    ICMP,
    ICMPV6,
    NO_MACS,
    SCTP,
    TCP,
    UDP,
    VXLAN_HEADER,
    Packet,
    VxlanFrame,
)
from netsim.wire.parse import parse
from netsim.wire.render import render

# Scapy tells about routes and interfaces of this machine when it is loaded; they mean nothing to a simulation.
logging.getLogger("scapy.loading").setLevel(logging.ERROR)

from scapy.layers import inet, l2  # noqa: E402 - after the logger
from scapy.packet import Packet as ScapyPacket  # noqa: E402
from scapy.volatile import VolatileValue  # noqa: E402

_NO_MAC: Final = "00:00:00:00:00:00"


def _module(name: str) -> Any:
    """A Scapy layer module, or None where it cannot be imported (a system without IPv6)."""
    try:
        return importlib.import_module(f"scapy.layers.{name}")
    except (ImportError, OSError):
        return None


def _inet6() -> Any:
    module = _module("inet6")
    if module is None:
        raise ValueError("Scapy cannot build IPv6 packets here: this operating system has no IPv6")
    return module


def build_template(address_length: int, proto: int, options_length: int = 0) -> bytes:
    """The Ethernet frame of a packet kind, built by Scapy: variable fields zero, checksums filled in.

    `address_length` is 4 or 16, `options_length` is of TCP options in bytes. Raises ValueError for a kind
    that does not exist, and for IPv6 where the operating system has none, since Scapy needs it.
    """
    if proto == ARP:
        arp = l2.ARP(op=0, hwsrc=_NO_MAC, psrc="0.0.0.0", hwdst=_NO_MAC, pdst="0.0.0.0")
        return _frame(0x0806, arp)
    if options_length % 4 or not 0 <= options_length <= 40:
        raise ValueError(
            f"TCP options take 0 to 40 bytes, padded to a multiple of 4; these are {options_length}"
        )
    if address_length == 4:
        header = inet.IP(src="0.0.0.0", dst="0.0.0.0", id=0, flags="DF", ttl=0, tos=0, proto=proto)
        return _frame(0x0800, header / _transport_template(proto, options_length))
    header = _inet6().IPv6(src="::", dst="::", tc=0, fl=0, hlim=0, nh=proto)
    return _frame(0x86DD, header / _transport_template(proto, options_length))


def build_vxlan_template() -> bytes:
    """The outer Ethernet, IPv4, UDP and VXLAN headers of a tunnel, built by Scapy with variable fields zero."""
    header = inet.IP(src="0.0.0.0", dst="0.0.0.0", id=0, flags=0, ttl=0, tos=0, proto=UDP)
    return _frame(0x0800, header / inet.UDP(sport=0, dport=0, chksum=0) / _vxlan()(vni=0))


@lru_cache(maxsize=1)
def _vxlan() -> Any:
    """Scapy's VXLAN layer, without the ports that it binds itself to."""
    layer = _module("vxlan").VXLAN
    inet.UDP.payload_guess = [guess for guess in inet.UDP.payload_guess if guess[1] is not layer]
    return layer


def _frame(ether_type: int, packet: ScapyPacket) -> bytes:
    return bytes(l2.Ether(dst=_NO_MAC, src=_NO_MAC, type=ether_type) / packet)


def _transport_template(proto: int, options_length: int) -> ScapyPacket:
    if proto == TCP:
        options = [("EOL", None)] * options_length
        return inet.TCP(sport=0, dport=0, seq=0, ack=0, flags=0, window=0, options=options)
    if proto == UDP:
        return inet.UDP(sport=0, dport=0)
    if proto == ICMP:
        return inet.ICMP(type=0, code=0, id=0, seq=0)
    if proto == ICMPV6:
        echo: ScapyPacket = _inet6().ICMPv6EchoRequest(type=0, code=0, id=0, seq=0)
        return echo
    if proto == SCTP:
        header: ScapyPacket = _module("sctp").SCTP(sport=0, dport=0, tag=0, chksum=0)
        return header
    raise ValueError(f"there is no template for IP protocol {proto}; such a packet is a RawBody")


def to_scapy(packet: Packet) -> ScapyPacket:
    """The packet's Ethernet frame dissected by Scapy: down to DNS on port 53, to SCTP chunks, through tunnels."""
    if isinstance(packet.body, VxlanFrame):
        return _tunnel_to_scapy(packet, packet.body)
    flow = packet.flow
    if len(flow.src) == 16:
        _module("inet6")
    if flow.proto in (TCP, UDP) and 53 in (flow.sport, flow.dport):
        _module("dns")
    elif flow.proto == SCTP:
        _module("sctp")
    return _timeless(l2.Ether(render(packet)))


def _timeless(dissected: ScapyPacket) -> ScapyPacket:
    layer: Any = dissected
    while layer:
        layer.time = 0.0
        layer = layer.payload
    return dissected


def _tunnel_to_scapy(packet: Packet, body: VxlanFrame) -> ScapyPacket:
    """The outer headers, then the frame inside as if it were alone."""
    frame = render(packet)
    at = len(frame) - body.inner.size
    outer: Any = l2.Ether(frame[: at - VXLAN_HEADER]) / _vxlan()(frame[at - VXLAN_HEADER : at])
    return _timeless(outer / to_scapy(body.inner))


def from_scapy(packet: ScapyPacket | bytes, source: Address | None = None) -> Packet:
    """The packet that a user hands in: a Scapy `IP`, `IPv6` or `Ether/IP` packet, or the bytes of one.

    TCP, UDP, ICMP echo and ICMP errors that our templates can express become modelled bodies, anything else a
    RawBody; either way the bytes from the IP header on are exactly those that Scapy builds. Mind Scapy's
    defaults: `IP()` has `id=1` and no DF, so it becomes a RawBody (see `parse.transport`), `IP(id=0,
    flags="DF")` does not.

    `source` is used where the packet has no explicit source address. MACs are kept where the Ethernet layer
    sets them, else zero.

    Raises ValueError, with what to change, for a packet without IP layer, without destination, without source
    when `source` is None, for a set of packets, random values, unknown fields, and contradictory lengths.
    """
    if isinstance(packet, bytes | bytearray | memoryview):
        return _from_bytes(bytes(packet))
    if not isinstance(packet, ScapyPacket):
        raise ValueError(f"expected a Scapy packet or bytes, not {type(packet).__name__}")
    macs, network = _split(packet)
    _refuse_unclear(network)
    return parse(_built(_with_source(network, source)), macs)


def _from_bytes(data: bytes) -> Packet:
    """An Ethernet frame if its type and version say so, else an IP packet."""
    version = {b"\x08\x00": 4, b"\x86\xdd": 6}.get(data[12:14])
    if version is not None and data[ETHERNET_HEADER:] and data[ETHERNET_HEADER] >> 4 == version:
        return parse(data[ETHERNET_HEADER:], data[:12])
    return parse(data)


def _names(packet: ScapyPacket) -> str:
    """`IP/UDP/DNS`: Scapy's own summary may fail on the values that we complain about."""
    return "/".join(layer.__name__ for layer in packet.layers())


def _split(packet: ScapyPacket) -> tuple[bytes, ScapyPacket]:
    """The MACs and the IP layer."""
    network: Any = packet.payload if isinstance(packet, l2.Ether) else packet
    inet6 = _module("inet6")
    if not isinstance(network, inet.IP if inet6 is None else (inet.IP, inet6.IPv6)):
        raise ValueError(
            f"expected IP, IPv6, Ether/IP or Ether/IPv6, not {_names(packet)}: a simulated host sends "
            "IP packets, so put IP(dst=...) in front (ARP comes from the simulated neighbour tables alone)"
        )
    if not isinstance(packet, l2.Ether):
        return NO_MACS, network
    return _mac(packet, "dst") + _mac(packet, "src"), network


def _mac(ether: ScapyPacket, name: str) -> bytes:
    """An explicit address, else zeros: Scapy would look for a neighbour on the real network."""
    text = ether.fields.get(name) or _NO_MAC
    try:
        mac = bytes.fromhex(text.replace(":", ""))
    except (AttributeError, ValueError):
        mac = b""
    if len(mac) != 6:
        raise ValueError(f"Ether.{name} must be an address such as 02:00:00:00:00:01, not {text!r}")
    return mac


def _refuse_unclear(packet: ScapyPacket) -> None:
    """Raises ValueError for misspelt fields and random values, also in packets inside fields (DNS records)."""
    layer: Any = packet
    while layer:
        for name in vars(layer):
            if name not in layer.fieldtype and not hasattr(type(layer), name):
                known = ", ".join(layer.fieldtype)
                raise ValueError(f"{layer.name} has no field {name!r}; it has {known}")
        for name, value in layer.fields.items():
            for part in value if isinstance(value, list) else [value]:
                if isinstance(part, VolatileValue):
                    raise ValueError(
                        f"{layer.name}.{name} is random; give a value: the same seed, the same run"
                    )
                if isinstance(part, ScapyPacket):
                    _refuse_unclear(part)
        layer = layer.payload


def _with_source(network: Any, source: Address | None) -> ScapyPacket:
    """A copy with a source address, since Scapy would take one of the machine that we run on.

    Raises ValueError for missing or unfit addresses.
    """
    if "dst" not in network.fields:
        raise ValueError(f"the {network.name} layer has no destination; write {network.name}(dst=...)")
    packet: ScapyPacket = network.copy()
    if "src" in packet.fields:
        return packet
    if source is None:
        raise ValueError(f"the {packet.name} layer has no source address; write {packet.name}(src=...)")
    if len(source) != (4 if isinstance(packet, inet.IP) else 16):
        raise ValueError(f"the source address {ip_text(source)} is not of the packet's family, {packet.name}")
    packet.setfieldval("src", ip_text(source))
    return packet


def _built(packet: ScapyPacket) -> bytes:
    """The bytes from the IP header on. Raises ValueError for several packets in one and for unfit values."""
    try:
        single = len(list(islice(iter(packet), 2))) == 1
        data = bytes(packet)
    except Exception as error:  # Scapy raises whatever a value provokes: struct.error, KeyError, OSError...
        raise ValueError(f"Scapy cannot build this {_names(packet)}: {error}") from error
    if not single:
        raise ValueError(
            f"this {_names(packet)} stands for several packets; send them one by one: for p in packet"
        )
    return data
