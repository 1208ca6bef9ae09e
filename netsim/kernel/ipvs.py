"""IPVS of one network namespace: virtual servers, real servers, connections, and the choice of a real server.

Held as `Namespace.ipvs`; changed by the ipvs dataplane and by whoever plays `ipvsadm`; asked by the hook functions of
`ipvs_hooks.py`; rendered by `ipvs_text.py`.

Theory of operation. The first packet to a virtual server is *scheduled*: a real server is chosen and a connection
entry made, by which all later packets of the flow and their answers are recognised. With persistence a template
(client, virtual server) remembers the choice for the client's next connections. A real server of weight 0 is
*quiesced*: it keeps its connections and gets no new ones. A deleted one is not available; what becomes of its
connections depends on `expire_nodest_conn`.

Sources: net/netfilter/ipvs/ip_vs_{ctl,conn,core}.c of Linux 6.8, Documentation/networking/ipvs-sysctl.rst. Simplified:
two connections of one client port to one real server through different virtual servers share the look-up of answers
(the newer one wins); no defence against floods (drop_entry, drop_packet, secure_tcp), no synchronisation daemon.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netsim.kernel.ipvs_conn import Connection
from netsim.kernel.ipvs_schedulers import SCHEDULERS, Scheduler
from netsim.kernel.ipvs_service import HASH_PORT, Dest, DestKey, Service, ServiceKey, VirtualServer
from netsim.kernel.ipvs_states import SCTP_TIMEOUT_NS, TCP_TIMEOUTS_NS, UDP_TIMEOUT_NS, TcpState
from netsim.kernel.releases import since
from netsim.wire.packet import TCP, UDP, Flow

if TYPE_CHECKING:
    from netsim.kernel.netns import Namespace

# Connections of a deleted real server are flushed at once since this kernel.
_FLUSHES_SINCE: Final = since("ipvs.expire_nodest_conn")


class IpvsError(ValueError):
    """A change that ipvsadm would refuse."""


@dataclass(frozen=True, slots=True)
class IpvsSysctl:
    """net.ipv4.vs.*, with the kernel's defaults; kube-proxy's own values are set by its dataplane. `release` is the
    kernel's: what happens to reused ports changed in 5.9 and 5.16."""

    conntrack: bool = False
    conn_reuse_mode: int = 1
    expire_nodest_conn: bool = False
    expire_quiescent_template: bool = False
    sloppy_tcp: bool = False
    release: tuple[int, int] = (6, 8)


class Timeouts:
    """`ipvsadm --set`; nanoseconds."""

    __slots__ = ("tcp", "udp")

    def __init__(self) -> None:
        self.tcp = [TCP_TIMEOUTS_NS[state] for state in TcpState]
        self.udp = UDP_TIMEOUT_NS

    def set(self, tcp_ns: int, tcp_fin_ns: int, udp_ns: int) -> None:
        """0 leaves a value as it is."""
        if tcp_ns:
            self.tcp[TcpState.ESTABLISHED] = tcp_ns
        if tcp_fin_ns:
            self.tcp[TcpState.FIN_WAIT] = tcp_fin_ns
        if udp_ns:
            self.udp = udp_ns

    def first(self, proto: int) -> int:
        """Of a connection without a state yet."""
        if proto == TCP:
            return self.tcp[TcpState.NONE]
        return self.udp if proto == UDP else SCTP_TIMEOUT_NS


_TrashKey = tuple[ServiceKey, DestKey]


class Ipvs:
    """The tables. `conns` and `answers` find a connection by the client's and by the real server's packets;
    `templates` by client address (in a flow with source port 0). `changed` is called when established connections may
    fare differently."""

    __slots__ = ("_trash", "answers", "changed", "conns", "ns", "services", "sysctl", "templates", "timeouts")

    def __init__(self, ns: "Namespace") -> None:
        self.ns = ns
        self.sysctl = IpvsSysctl()
        self.timeouts = Timeouts()
        self.services: dict[ServiceKey, Service] = {}
        self.conns: dict[Flow, Connection] = {}
        self.answers: dict[Flow, Connection] = {}
        self.templates: dict[Flow, Connection] = {}
        self.changed: Callable[[], None] = ns.changed
        self._trash: dict[_TrashKey, Dest] = {}

    # ------------------------------------------------------------------ virtual servers
    def add_service(self, server: VirtualServer) -> Service:
        """`ipvsadm -A`."""
        if server.key in self.services:
            raise IpvsError(f"{server.key}: Service already exists")
        service = self.services[server.key] = Service(server, _scheduler(server))
        return service

    def edit_service(self, server: VirtualServer) -> None:
        """`ipvsadm -E`: real servers and connections stay."""
        service = self._service(server.key)
        if (server.scheduler, server.flags) != (service.server.scheduler, service.server.flags):
            service.scheduler = _scheduler(server)
            service.scheduler.updated(service)
        service.server = server

    def delete_service(self, key: ServiceKey) -> None:
        """`ipvsadm -D`: its real servers go with it."""
        service = self._service(key)
        del self.services[key]
        for dest in list(service.dests):
            self._unlink_dest(service, dest)
        self._dests_gone()

    def _service(self, key: ServiceKey) -> Service:
        try:
            return self.services[key]
        except KeyError:
            raise IpvsError(f"{key}: No such service") from None

    # ------------------------------------------------------------------ real servers
    def add_dest(self, key: ServiceKey, dest_key: DestKey, weight: int = 1) -> Dest:
        """`ipvsadm -a`: first in the list. One that was deleted but still has connections comes back with them."""
        service = self._service(key)
        if dest_key in service.by_key:
            raise IpvsError(f"{key}: Destination already exists")
        dest = self._trash.pop((key, dest_key), None)
        if dest is None:
            dest = Dest(service, dest_key, weight)
        else:
            dest.service, dest.weight, dest.available = service, weight, True
        service.dests.insert(0, dest)
        service.by_key[dest_key] = dest
        service.scheduler.added(service)
        return dest

    def edit_dest(self, key: ServiceKey, dest_key: DestKey, weight: int) -> None:
        """`ipvsadm -e`."""
        service = self._service(key)
        self._dest(service, dest_key).weight = weight
        service.scheduler.updated(service)

    def delete_dest(self, key: ServiceKey, dest_key: DestKey) -> None:
        """`ipvsadm -d`."""
        service = self._service(key)
        self._unlink_dest(service, self._dest(service, dest_key))
        self._dests_gone()

    @staticmethod
    def _dest(service: Service, key: DestKey) -> Dest:
        try:
            return service.by_key[key]
        except KeyError:
            raise IpvsError(f"{service.key}: No such destination") from None

    def _unlink_dest(self, service: Service, dest: Dest) -> None:
        dest.available = False
        index = service.dests.index(dest)
        del service.dests[index]
        del service.by_key[dest.key]
        service.scheduler.removed(service, index)
        if dest.refs:
            self._trash[service.key, dest.key] = dest

    def _dests_gone(self) -> None:
        """Connections without a real server: flushed by newer kernels, found out by their next packet in older ones."""
        if self.sysctl.expire_nodest_conn and self.sysctl.release >= _FLUSHES_SINCE and self._trash:
            for table in (self.conns, self.templates):
                for connection in [c for c in table.values() if not c.dest.available and not c.controlled]:
                    self.expire_now(connection)
        self.changed()

    # ------------------------------------------------------------------ connections
    def schedule(self, service: Service, flow: Flow, now: int) -> Connection | None:
        """A connection for the first packet of a flow (ip_vs_schedule); None when no real server is there."""
        server = service.server
        template: Connection | None = None
        if server.persistent_s:
            template = self._template(service, flow)
            dest = None if template is None else template.dest
        else:
            dest = service.scheduler.schedule(service, flow)
        if dest is None:
            return None
        connection = Connection(self, flow, dest)
        self.conns[flow] = connection
        self.answers[connection.answers] = connection
        if template is not None:
            connection.follow(template)
            template.restart(now)
        service.stats.conns += 1
        dest.stats.conns += 1
        return connection

    def _template(self, service: Service, flow: Flow) -> Connection | None:
        """The client's template, made anew where there is none or its real server is no longer good
        (ip_vs_sched_persist, ip_vs_check_template)."""
        key = flow._replace(sport=0)
        template = self.templates.get(key)
        if template is not None:
            dest = template.dest
            quiesced = self.sysctl.expire_quiescent_template and dest.weight == 0
            if dest.available and not quiesced:
                return template
            del self.templates[key]  # it lives on, unfound, until its connections are gone
        chosen = service.scheduler.schedule(service, flow)
        if chosen is None:
            return None
        template = self.templates[key] = Connection(self, key, chosen, template=True)
        template.timeout_ns = service.server.persistent_s * 1_000_000_000
        return template

    def expire_now(self, connection: Connection) -> None:
        """ip_vs_conn_expire_now; the template goes too when nothing follows it any more and its real server is gone."""
        template = connection.control
        self.unlink(connection)
        if template is not None and not template.controlled and not template.dest.available:
            self.unlink(template)

    def unlink(self, connection: Connection) -> None:
        """Take a connection or template out, and the conntrack entry that goes with it (ip_vs_conn_drop_conntrack)."""
        connection.deadline_ns = 0
        table = self.templates if connection.template else self.conns
        if table.get(connection.flow) is connection:
            del table[connection.flow]
        if self.answers.get(connection.answers) is connection:
            del self.answers[connection.answers]
        connection.release()
        self._forget(connection)
        conntrack = self.ns.conntrack
        if connection.nfct and not connection.template and conntrack is not None:
            half = conntrack.table.get(connection.flow)
            if half is not None:
                conntrack.remove(half.entry)

    def _forget(self, connection: Connection) -> None:
        """ip_vs_unbind_dest."""
        dest = connection.dest
        dest.refs -= 1
        if connection.template:
            dest.persistent -= 1
        elif connection.active:
            dest.active -= 1
        else:
            dest.inactive -= 1
        if not dest.refs and not dest.available:
            key = dest.service.key, dest.key
            if self._trash.get(key) is dest:
                del self._trash[key]


def _scheduler(server: VirtualServer) -> Scheduler:
    try:
        return SCHEDULERS[server.scheduler](bool(server.flags & HASH_PORT))
    except KeyError:
        raise IpvsError(f"Scheduler or persistence engine not found: {server.scheduler}") from None
