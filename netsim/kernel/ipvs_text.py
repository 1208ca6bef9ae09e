"""What ipvsadm(8) prints about a namespace's IPVS: `-Ln`, `-Ln --stats`, `-Lnc`, and `ipvsadm-save -n`.

Called by whoever shows a node's state. Numbers only, never names; sorted as the tool sorts (protocol, address, port).

Source: ipvsadm.c of ipvsadm 1.31. Left out: `--rate`, which needs the kernel's estimators.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from netsim.kernel.ipvs_service import HASH_PORT, PROTOCOL_TEXT, Dest, Service
from netsim.kernel.journey import RuleHit
from netsim.wire.packet import SCTP, TCP, UDP, endpoint_text

if TYPE_CHECKING:
    from netsim.kernel.ipvs import Ipvs
    from netsim.kernel.ipvs_conn import Connection

_S: Final = 1_000_000_000
_TITLE: Final = "IP Virtual Server version 1.2.1 (size=4096)"
_LIST_HEAD: Final = (
    _TITLE,
    "Prot LocalAddress:Port Scheduler Flags",
    "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
)
_STATS_HEAD: Final = (
    _TITLE,
    "Prot LocalAddress:Port               Conns   InPkts  OutPkts  InBytes OutBytes",
    "  -> RemoteAddress:Port",
)
_CONNECTIONS_HEAD: Final = (
    "IPVS connection entries",
    f"pro expire {'state':<11} {'source':<18} {'virtual':<18} destination",
)
_OPTIONS: Final = {TCP: "-t", UDP: "-u", SCTP: "--sctp-service"}
_UNITS: Final = ((10**8, 1, ""), (10**9, 10**3, "K"), (10**11, 10**6, "M"), (10**14, 10**9, "G"))


def listing(ipvs: "Ipvs") -> str:
    """`ipvsadm -Ln`."""
    lines = list(_LIST_HEAD)
    for service in _services(ipvs):
        lines.append(f"{_name(service)} {service.server.scheduler}{_flags(service)}")
        lines += [
            f"  -> {endpoint_text(*dest.key):<28} {'Masq':<7} {dest.weight:<6} {dest.active:<10} {dest.inactive:<10}"
            for dest in _dests(service)
        ]
    return _joined(lines)


def matched(connection: "Connection") -> RuleHit:
    """The virtual server that a packet was for and the real server it got, as `ipvsadm -Ln --stats` has them now."""
    dest = connection.dest
    service = dest.service
    real = f"  -> {endpoint_text(*dest.key):<28}{_numbers(dest.stats.row())}"
    saved = "\n".join((_STATS_HEAD[1], f"{_name(service):<33}{_numbers(service.stats.row())}", real))
    server = f"{_OPTIONS[service.key.protocol]} {endpoint_text(service.key.address, service.key.port)}"
    chosen = f"{server} -s {service.server.scheduler} -r {endpoint_text(*dest.key)} -m -w {dest.weight}"
    return RuleHit("ipvs", service.server.scheduler, chosen, saved)


def stats(ipvs: "Ipvs") -> str:
    """`ipvsadm -Ln --stats`."""
    if ipvs.ns.conntrack is not None:
        ipvs.ns.conntrack.settle()
    lines = list(_STATS_HEAD)
    for service in _services(ipvs):
        lines.append(f"{_name(service):<33}{_numbers(service.stats.row())}")
        lines += [
            f"  -> {endpoint_text(*dest.key):<28}{_numbers(dest.stats.row())}" for dest in _dests(service)
        ]
    return _joined(lines)


def connections(ipvs: "Ipvs", now: int) -> str:
    """`ipvsadm -Lnc`: connections and templates."""
    lines = list(_CONNECTIONS_HEAD)
    for table in (ipvs.conns, ipvs.templates):
        lines += [_connection(connection, now) for connection in table.values()]
    return _joined(lines)


def save(ipvs: "Ipvs") -> str:
    """`ipvsadm-save -n`."""
    lines = []
    for service in _services(ipvs):
        server = service.server
        where = f"{_OPTIONS[server.key.protocol]} {endpoint_text(*server.key[1:])}"
        persistent = f" -p {server.persistent_s}" if server.persistent_s else ""
        flags = f" -b {_flag_name(service)}" if _flag_name(service) else ""
        lines.append(f"-A {where} -s {server.scheduler}{persistent}{flags}")
        lines += [f"-a {where} -r {endpoint_text(*dest.key)} -m -w {dest.weight}" for dest in _dests(service)]
    return _joined(lines)


def _joined(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _services(ipvs: "Ipvs") -> list[Service]:
    return [ipvs.services[key] for key in sorted(ipvs.services)]


def _dests(service: Service) -> list[Dest]:
    return sorted(service.dests, key=lambda dest: dest.key)


def _name(service: Service) -> str:
    key = service.key
    return f"{PROTOCOL_TEXT[key.protocol]}  {endpoint_text(key.address, key.port)}"


def _flag_name(service: Service) -> str:
    server = service.server
    return f"{server.scheduler}-port" if server.flags & HASH_PORT and server.scheduler in ("sh", "mh") else ""


def _flags(service: Service) -> str:
    hashed = f" ({_flag_name(service)})" if _flag_name(service) else ""
    seconds = service.server.persistent_s
    return f"{hashed} persistent {seconds}" if seconds else hashed


def _numbers(row: Iterable[int]) -> str:
    return "".join(_large(number) for number in row)


def _large(number: int) -> str:
    """print_largenum: nine places, the last of them a unit beyond 100 million."""
    divisor, unit = next(((d, u) for below, d, u in _UNITS if number < below), (10**12, "T"))
    return f"{number // divisor:>{9 - len(unit)}}{unit}"


def _connection(connection: "Connection", now: int) -> str:
    left = max(0, connection.deadline_ns - now) // _S
    flow, dest = connection.flow, connection.dest
    source, virtual = endpoint_text(flow.src, flow.sport), endpoint_text(flow.dst, flow.dport)
    expire = f"{left // 60:02}:{left % 60:02}"
    ends = f"{source:<18} {virtual:<18} {endpoint_text(*dest.key):<16}"
    return f"{PROTOCOL_TEXT[flow.proto]:<3} {expire:<6} {connection.state_text:<11} {ends}"
