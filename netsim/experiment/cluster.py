"""A running cluster built from a topology: what notebooks hold in their hands.

    cluster = netsim.Cluster("topologies/my-nginx.yaml")
    cluster.settle()
    cluster.run("10s")
    cluster.send("pod/client", IP(dst="10.96.0.10") / UDP(dport=53) / DNS(qd=DNSQR(qname="my-nginx")))

What it is made of is chosen in `build.py`.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.controlplane import ControlPlane, Outside
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.objects import Pod
from netsim.cluster.timing import Timing
from netsim.engine import MS, Engine, S, parse_duration
from netsim.experiment.addon_ingress import publish_hosts
from netsim.experiment.build import build_dataplane, build_fabric, build_nodes
from netsim.experiment.build_dns import dns_addon, resolv_conf_of, start_name_servers, start_node_caches
from netsim.experiment.build_outside import build_balancers, build_routes, hosts_file, start_servers
from netsim.experiment.fillers import fillers
from netsim.fabric.capture import Capture
from netsim.fabric.fabric import Cable
from netsim.fabric.host import Host
from netsim.fabric.tcpdump import Tcpdump
from netsim.measure.books import PacketBooks
from netsim.wire.addr import Address, ip, ip_text
from netsim.workload.containers import Containers
from netsim.workload.dns_app import DnsApps
from netsim.workload.prober import HostProber
from netsim.workload.resolver import DNS_CACHE, RESOLVER, Resolver

if TYPE_CHECKING:
    import simpy
    from scapy.packet import Packet as ScapyPacket

    from netsim.experiment.exec import CommandResult
    from netsim.experiment.explain import Explained
    from netsim.experiment.flows import Observed
    from netsim.experiment.loader import Topology
    from netsim.experiment.spec_cluster import ClusterSpec
    from netsim.experiment.spec_select import Selector
    from netsim.kernel.journey import Step
    from netsim.measure.style import Plot

T = TypeVar("T")

_SETTLE_LIMIT_NS: Final = 600 * S
_SETTLE_STEP_NS: Final = 100 * MS


class Cluster:
    """Engine, fabric and control plane of one topology under one seed. Nothing happens before `settle` or `run`."""

    def __init__(self, topology: "Topology | str | Path", seed: int = 1) -> None:
        if isinstance(topology, str | Path):
            from netsim.experiment.loader import load_topology

            topology = load_topology(topology)
        self.topology = topology
        self.seed = seed
        self.spec: ClusterSpec = topology.spec
        self.engine = Engine(seed)
        self.fabric = build_fabric(self.engine, self.spec)
        nodes = build_nodes(self.fabric, self.spec)
        build_routes(self.fabric, self.spec)
        self.balancers = build_balancers(self.fabric, self.spec)
        self.outside_apps = start_servers(self.fabric, self.spec)
        start_name_servers(self.fabric, self.spec)
        timing = Timing.for_version(self.spec.kubernetesVersion, self.spec.timing_flags())
        dns = DnsApps(self.spec.networking.dnsDomain, self.spec.networking.podSubnet)
        self.containers = Containers(self.engine, self.fabric, dns.app_for)
        outside = Outside(
            self.containers,
            HostProber(self.fabric),
            self._resolv_conf,
            {name: node.ns for name, node in self.fabric.nodes.items()},
            build_dataplane(self.spec, nodes),
            self.balancers,
            build_dataplane(self.spec, nodes, 1) if len(self.spec.networking.service_subnets) > 1 else None,
        )
        self.control_plane = ControlPlane(
            self.engine, timing, nodes, outside, self.spec.networking.serviceSubnet
        )
        dns.connect(self.control_plane.api, timing, self.fabric)
        self.containers.ingress.connect(self.control_plane.api, timing)
        publish_hosts(self.control_plane.api, self.fabric)
        self._resolvers: dict[str, Resolver] = {}
        self.epoch_ns = 0
        self._started = False

    # ------------------------------------------------------------------ building
    def _resolv_conf(self, pod: Pod) -> ResolvConf:
        return resolv_conf_of(pod, self.spec, self.node_resolv_conf, self.engine)

    @property
    def node_resolv_conf(self) -> ResolvConf:
        """The nodes' own /etc/resolv.conf: the router, which knows the names outside (`build_dns`)."""
        return ResolvConf((ip_text(self.fabric.router.address),))

    # ------------------------------------------------------------------ time
    @property
    def env(self) -> "simpy.Environment":
        """The genuine SimPy environment: start processes of your own in it."""
        return self.engine.env

    @property
    def api(self) -> ApiServer:
        """The API server's store."""
        return self.control_plane.api

    @property
    def now_ns(self) -> int:
        """Nanoseconds since the experiment's zero (negative while booting)."""
        return self.engine.now - self.epoch_ns

    def start(self) -> None:
        """Create the objects and start every component; harmless when it has been done."""
        if self._started:
            return
        self._started = True
        given = {(item.kind, *item.key) for item in self.topology.objects}
        addons = dns_addon(self.spec, self.control_plane.timing.version)
        self.control_plane.apply([item for item in addons if (item.kind, *item.key) not in given])
        self.control_plane.apply(self.topology.objects)
        self.control_plane.apply(fillers(self.spec.fillers.services, self.spec.fillers.endpoints))
        start_node_caches(self.fabric, self.spec, self.node_resolv_conf)
        self.control_plane.start()

    def settle(self) -> int:
        """Boot until everything is up and known everywhere; the next whole second becomes zero. Returns it in
        engine time.

        Raises LookupError naming what is missing when that takes more than ten simulated minutes."""
        self.start()
        while not self._quiet():
            if self.engine.now > _SETTLE_LIMIT_NS:
                found = [*self.control_plane.unsettled(), *self.containers.ingress.unsettled()]
                reasons = "; ".join(found[:5])
                raise LookupError(f"the cluster does not come up: {reasons}")
            self.engine.run(self.engine.now + _SETTLE_STEP_NS)
        self.epoch_ns = -(-self.engine.now // S) * S
        if self.epoch_ns > self.engine.now:
            self.engine.run(self.epoch_ns)
        return self.epoch_ns

    def _quiet(self) -> bool:
        ingress = next(self.containers.ingress.unsettled(), None)
        return ingress is None and self.control_plane.settled()

    def run(self, duration: str | int) -> "Cluster":
        """Let time pass: a duration such as "10s", or nanoseconds."""
        self._settled()
        ns = parse_duration(duration) if isinstance(duration, str) else duration
        self.engine.run(self.engine.now + ns)
        return self

    def at(self, moment: str | int) -> "Cluster":
        """Let time pass until a moment after zero. Raises ValueError for the past."""
        self._settled()
        ns = parse_duration(moment) if isinstance(moment, str) else moment
        if self.epoch_ns + ns < self.engine.now:
            raise ValueError(f"it is later than {moment} already")
        if self.epoch_ns + ns > self.engine.now:  # SimPy refuses to run until now
            self.engine.run(self.epoch_ns + ns)
        return self

    def _settled(self) -> None:
        if not self.epoch_ns:
            self.settle()

    # ------------------------------------------------------------------ hosts
    def host(self, name: str) -> Host:
        """`pod/NAME`, `pod/NAMESPACE/NAME`, `node/NAME`, `external/NAME`, or a plain pod name. A Deployment's
        pod is found by the beginning of its name. Raises LookupError naming those there are."""
        kind, _, rest = name.partition("/")
        if kind == "node":
            return _pick(self.fabric.nodes, rest, "node")
        if kind == "external":
            return _pick(self.fabric.outside, rest, "external host")
        wanted = rest if kind == "pod" else name
        namespaced = wanted if "/" in wanted else f"default/{wanted}"
        pods = self.containers.hosts
        if namespaced in pods:
            return pods[namespaced]
        matching = sorted(pod for pod in pods if pod.startswith(f"{namespaced}-"))
        return pods[matching[0]] if matching else _pick(pods, namespaced, "pod")

    def select_hosts(self, selector: "Selector") -> list[Host]:
        """The hosts that a selector means, sorted by name. Raises LookupError when there are none."""
        if selector.kind == "node":
            found: list[Host] = [h for n, h in self.fabric.nodes.items() if fnmatchcase(n, selector.node)]
        elif selector.kind == "external":
            found = [h for n, h in self.fabric.outside.items() if fnmatchcase(n, selector.external)]
        else:
            pods = [pod for pod in self.api.list(Pod) if selector.selects_pod(*pod.key, pod.metadata.labels)]
            hosts = self.containers.hosts
            found = [hosts[name] for pod in pods if (name := "/".join(pod.key)) in hosts]
        if not found:
            raise LookupError(f"nothing that runs matches {selector}")
        return sorted(found, key=lambda host: host.name)

    def resolver_of(self, host: Host) -> Resolver:
        """A host's resolver, made on first use: glibc without a cache, unless the pod's annotations say otherwise."""
        return self.resolver_for(host)

    def resolver_for(self, host: Host, style: str = "", cache: str = "", process: str = "") -> Resolver:
        """A resolver of a host with these manners (as `resolver_of` where they are ""), one per `process`."""
        key = f"{host.name} {process} {style} {cache}" if style or cache else host.name
        found = self._resolvers.get(key)
        if found is None or found.host is not host:
            notes = self._annotations(host)
            found = self._resolvers[key] = Resolver(
                host,
                host.resolv_conf or self.node_resolv_conf,
                style or notes.get(RESOLVER, "glibc"),
                cache=cache or notes.get(DNS_CACHE, "none"),
                hosts=hosts_file(self.fabric, host),
            )
        return found

    def _annotations(self, host: Host) -> Mapping[str, str]:
        """Those of the pod that a host is."""
        if host.name not in self.containers.hosts:
            return {}
        pod = self.api.get(Pod, *host.name.split("/", 1))
        return pod.metadata.annotations if pod is not None else {}

    def exec(self, where: str, command: str | Sequence[str], limit: str | int = "60s") -> "CommandResult":
        """Run a command in a pod, on a node or on an outside host, as `kubectl exec` does: `exec("client", "nslookup
        my-nginx")`. A text is a shell's command line, a list are a command's words. Time passes until it has ended;
        at the limit it is interrupted. Raises LookupError for an unknown host."""
        from netsim.experiment.exec import execute

        self._settled()
        limit_ns = parse_duration(limit) if isinstance(limit, str) else limit
        return execute(self, where, command, limit_ns)

    # ------------------------------------------------------------------ packets
    def send(self, source: str, packet: "ScapyPacket | bytes") -> int:
        """Send any IP packet made with Scapy from a host, through its own network stack. Returns the packet's
        number, by which captures and journeys know it. Raises ValueError for what is not an IP packet."""
        from netsim.wire.codec import from_scapy

        self._settled()
        host = self.host(source)
        made = from_scapy(packet, source=_source(host, packet))
        made.uid = next(self.engine.uids)
        host.ns.output(made, self.engine.now)
        return made.uid

    def capture(self, *patterns: str) -> Capture:
        """Record packets on cables from now on: `default/client:eth0`, `worker-*`; without a pattern on all
        of them. Stop it with `.stop()`, write it with `write_pcapng`. Cables of pods to come are included."""
        capture = Capture()
        wanted = patterns or ("*",)

        def consider(cable: Cable) -> None:
            short = cable.name.removesuffix(":eth0")
            if any(fnmatchcase(cable.name, p) or fnmatchcase(short, p) for p in wanted):
                capture.attach(cable)

        for cable in self.fabric.cables.values():
            consider(cable)
        self.fabric.cable_added.append(consider)
        return capture

    def tcpdump(self, *patterns: str, strict: bool = True) -> Tcpdump:
        """Listen on interfaces from now on, as tcpdump does: `pod/client`, `node/worker-1:veth*`, `external/laptop`,
        `router`; without a pattern on all. Stop it with `.stop()`, write it with `write_pcapng`. Interfaces of pods to
        come are included. Raises LookupError for a pattern that means none that there is, unless not `strict`."""
        dump = Tcpdump(self.fabric, patterns)
        wrong = dump.unmatched() if strict else []
        if wrong:
            dump.stop()
            hosts = ", ".join(sorted(host.name for host in self.fabric.hosts() if host.alive))
            raise LookupError(f"no interface is meant by {wrong[0]} (hosts there are: {hosts})")
        return dump

    def observe(self, host: str = "") -> "Observed":
        """Observe packets on all nodes from now on, as Hubble does; `.flows()` gives them, oldest first."""
        from netsim.experiment.flows import observe

        self._settled()
        return observe(self, host)

    def write_pcapng(self, capture: Capture | Tcpdump, path: str | Path) -> int:
        """Write a capture as a pcapng file with names and comments; the number of packets in it."""
        from netsim.experiment.about import APPLICATION, about_cluster
        from netsim.measure.pcap import write_pcapng

        told = about_cluster(self)
        return write_pcapng(capture, path, self.names(), self.epoch_ns, told, APPLICATION)

    def explain(
        self,
        source: str,
        target: str,
        timeout_ns: int = 5 * S,
        arp: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> "Explained":
        """Follow one request (`http://...`, with these headers), ping (`ping://NAME`) or SCTP message
        (`sctp://NAME:PORT`) from a host, packet by packet; behind an ingress controller also what it asks the
        endpoint."""
        from netsim.experiment.explain import explain

        self._settled()
        return explain(self, source, target, timeout_ns, arp, headers or {})

    def follow(self, subscriber: "Callable[[Step], None]") -> "Callable[[], None]":
        """Tell every step of every packet in every namespace that there is, from now on (slow: nothing is
        skipped), until what this returns is called."""
        endings = [host.ns.follow(subscriber) for host in self.fabric.hosts()]

        def stop() -> None:
            while endings:
                endings.pop()()

        return stop

    def view(self, what: str, host: str) -> str:
        """What a tool would print on a host now: "iptables" (`iptables-save -c`), "conntrack" (`conntrack -L`),
        "routes" (`ip route`)... see `views.py`. Raises LookupError for an unknown view or host."""
        from netsim.experiment.views import VIEWS

        self._settled()
        return _pick(VIEWS, what, "view")(self.host(host).ns, self.engine.now)

    def names(self) -> dict[bytes, str]:
        """What the addresses belong to: pods, nodes, Services, outside hosts."""
        from netsim.cluster.objects import Service

        found = {address: host.name for host in self.fabric.hosts() for address in host.addresses}
        found |= {address: name for name, host in self.fabric.pods.items() for address in host.addresses}
        for service in self.api.list(Service):
            if service.spec.clusterIP not in ("", "None"):
                name = "svc/" + "/".join(service.key)
                found |= {ip(address): name for address in service.spec.clusterIPs}
            for ingress in service.status.loadBalancer.ingress:
                if ingress.ip:
                    found[ip(ingress.ip)] = "lb/" + "/".join(service.key)
        return found

    # ------------------------------------------------------------------ books
    def books(self) -> PacketBooks:
        """Every packet so far: sent + copies = delivered + dropped + in flight."""
        hosts = list(self.fabric.hosts())
        dropped = Counter(
            {(where, hook, reason.name): n for (where, hook, reason), n in self.fabric.drops().items()}
        )
        return PacketBooks(
            sent=sum(host.ns.sent for host in hosts),
            delivered=sum(host.ns.delivered for host in hosts),
            dropped=dict(sorted(dropped.items())),
            in_flight=self.fabric.in_flight(),
            duplicated=self.fabric.copies(),
        )

    def counters(self) -> dict[str, int]:
        """Counters for the fingerprint: packets and bytes of every cable."""
        found = {}
        for name, cable in sorted(self.fabric.cables.items()):
            found[f"{name} packets"] = cable.there.packets + cable.back.packets
            found[f"{name} bytes"] = cable.there.bytes + cable.back.bytes
        return found

    def plot(self) -> "Plot":
        """A drawing of nodes, pods, Services and what is outside, as they are now."""
        from netsim.experiment.drawing import drawing

        self._settled()
        return drawing(self)

    def _repr_html_(self) -> str:
        from netsim.experiment.drawing import drawing

        return drawing(self).image(repr(self).strip("<>"))  # as it is, without letting time pass

    def __repr__(self) -> str:
        nodes, pods = len(self.fabric.nodes), len(self.fabric.pods)
        state = f"{self.now_ns / S:g} s" if self.epoch_ns else "not booted"
        return f"<Cluster {self.topology.name}: {nodes} nodes, {pods} pods, {state}>"


def _source(host: Host, packet: "ScapyPacket | bytes") -> Address:
    """The host's address of the packet's family."""
    is_v6 = any(layer.__name__ == "IPv6" for layer in getattr(packet, "layers", list)())
    return host.address_of(16 if is_v6 else 4) or host.address


def _pick(there: Mapping[str, T], name: str, what: str) -> T:
    if name in there:
        return there[name]
    known = ", ".join(sorted(there)) or "none"
    raise LookupError(f"there is no {what} {name} (there: {known})")
