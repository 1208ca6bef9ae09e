"""CoreDNS in its place: watches an API server, answers over the network, comes and goes as a process does."""

from collections.abc import Callable
from typing import Any

import pytest

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.dns.coredns import CoreDnsApp, coredns_apps, mounted_files
from netsim.cluster.dns.manifests import cluster_dns_address, corefile, dns_objects
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.objects import ConfigMap, Deployment, EndpointSlice, Namespace, Pod, Service, evolve
from netsim.cluster.objects.registry import parse_object
from netsim.cluster.timing import Timing
from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.fabric.http import ProbeResult, http_get
from netsim.wire.addr import ip, ip_text
from netsim.wire.dns import PTR, SRV, A, Reply
from netsim.wire.dns_codec import DnsCodec

DNS = "198.51.100.53"
CLIENT = "198.51.100.1"


class Lab:
    """An API server without delays worth naming, a client, and a host for CoreDNS."""

    def __init__(self, text: str | None = None, version: tuple[int, int] = (1, 34)) -> None:
        self.engine = Engine(seed=5)
        self.api = ApiServer(self.engine, Timing())
        fabric = Fabric(self.engine, FabricConfig(), FlatCni())
        self.client = fabric.add_outside("client", ip(CLIENT))
        self.host = fabric.add_outside("coredns", ip(DNS))
        self.host.resolv_conf = ResolvConf(("198.51.100.99",))
        for name in ("default", "kube-system", "shop"):
            self.api.create(Namespace.model_validate({"metadata": {"name": name}}))
        self.exits: list[tuple[int, int]] = []
        self.codec = DnsCodec()
        self.app = CoreDnsApp(
            self.host, self.api, Timing(), corefile(version=version) if text is None else text
        )
        self.app.exited = lambda code, now: self.exits.append((code, now))

    def start(self) -> "Lab":
        self.app.start(self.engine.now)
        self.wait(2 * S)
        return self

    def wait(self, ns: int) -> None:
        self.engine.run(self.engine.now + ns)

    def service(self, name: str = "web", address: str = "10.96.0.7") -> Service:
        return self.api.create(Service.model_validate({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": address, "ports": [{"name": "http", "port": 80}]},
        }))  # fmt: skip

    def slice(self, *addresses: str, service: str = "db") -> EndpointSlice:
        return self.api.create(EndpointSlice.model_validate({
            "metadata": {
                "name": f"{service}-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": service},
            },
            "addressType": "IPv4", "ports": [{"name": "pg", "port": 5432}],
            "endpoints": [{"addresses": [address]} for address in addresses],
        }))  # fmt: skip

    def ask(self, name: str, qtype: int = A, wait: int = 50 * MS) -> Reply | None:
        got: list[bytes] = []
        socket = self.client.ns.sockets.open_udp(lambda _s, payload, _src, _port, _now: got.append(payload))
        socket.send(b"\1\2" + self.codec.query(name, qtype), ip(DNS), 53, self.engine.now)
        self.wait(wait)
        socket.close()
        message = self.codec.message(got[0]) if got else None
        return message[1] if message else None

    def addresses(self, name: str) -> list[str]:
        reply = self.ask(name)
        return sorted(record.data for record in reply.answer) if reply else ["silence"]

    def page(self, port: int, path: str) -> ProbeResult:
        got: list[ProbeResult] = []
        http_get(self.client, ip(DNS), port, path, 1 * S, lambda result, _now: got.append(result))
        self.wait(1100 * MS)
        [result] = got
        return result


def test_services_are_answered_from_the_api() -> None:
    lab = Lab()
    lab.service()
    lab.start()
    assert lab.addresses("web.shop.svc.cluster.local.") == ["10.96.0.7"]
    reverse = lab.ask("7.0.96.10.in-addr.arpa.", PTR)
    assert reverse is not None
    assert reverse.answer[0].data == "web.shop.svc.cluster.local."
    ports = lab.ask("_http._tcp.web.shop.svc.cluster.local.", SRV)
    assert ports is not None
    assert ports.answer[0].data == "0 100 80 web.shop.svc.cluster.local."


def test_changes_arrive_by_watch_and_nothing_old_is_kept() -> None:
    lab = Lab().start()
    name = "web.shop.svc.cluster.local."
    for _ in range(2):
        reply = lab.ask(name)
        assert reply is not None
        assert (reply.rcode, reply.answer) == (3, ())
    lab.service()
    lab.wait(2 * S)
    assert lab.addresses(name) == ["10.96.0.7"]
    lab.api.delete(Service, "shop", "web")
    lab.wait(2 * S)
    assert lab.addresses(name) == []


def test_headless_answers_follow_the_endpoints() -> None:
    lab = Lab()
    lab.service("db", "None")
    part = lab.slice("10.244.1.5", "10.244.1.6")
    lab.start()
    assert lab.addresses("db.shop.svc.cluster.local.") == ["10.244.1.5", "10.244.1.6"]
    lab.api.update(evolve(part, endpoints=part.endpoints[:1]))
    lab.wait(2 * S)
    assert lab.addresses("db.shop.svc.cluster.local.") == ["10.244.1.5"]


def test_kubeadms_older_corefile_keeps_headless_answers_for_thirty_seconds() -> None:
    lab = Lab(version=(1, 29))
    lab.service("db", "None")
    part = lab.slice("10.244.1.5", "10.244.1.6")
    lab.start()
    name = "db.shop.svc.cluster.local."
    assert lab.addresses(name) == ["10.244.1.5", "10.244.1.6"]
    lab.api.update(evolve(part, endpoints=part.endpoints[:1]))
    lab.wait(20 * S)
    assert lab.addresses(name) == ["10.244.1.5", "10.244.1.6"]
    lab.wait(12 * S)
    assert lab.addresses(name) == ["10.244.1.5"]


def test_a_node_that_is_cut_off_answers_what_it_knew() -> None:
    lab = Lab().start()
    lab.app.disconnect()
    lab.service()
    lab.wait(30 * S)
    assert lab.addresses("web.shop.svc.cluster.local.") == []
    lab.app.reconnect(lab.engine.now)
    lab.wait(2 * S)
    assert lab.addresses("web.shop.svc.cluster.local.") == ["10.96.0.7"]


def test_before_the_lists_there_is_no_server_and_it_is_not_ready() -> None:
    lab = Lab()
    lab.app.start(0)
    lab.wait(500_000)  # half the least delay of an API answer
    assert not lab.app.ready
    assert (None, 53) not in lab.host.ns.sockets._udp
    lab.wait(2 * S)
    assert lab.app.ready
    assert (None, 53) in lab.host.ns.sockets._udp


def test_health_and_ready_pages() -> None:
    lab = Lab().start()
    assert [lab.page(8080, "/health").status, lab.page(8181, "/ready").status] == [200, 200]
    assert lab.page(8080, "/elsewhere").status == 404


def test_lameduck() -> None:
    lab = Lab()
    lab.service()
    lab.start()
    began = lab.engine.now
    lab.app.terminate(began)
    lab.app.terminate(began)
    assert lab.addresses("web.shop.svc.cluster.local.") == ["10.96.0.7"]
    assert [lab.page(8181, "/ready").status, lab.page(8080, "/health").status] == [503, 200]
    lab.wait(5 * S)
    assert lab.exits == [(0, began + 5 * S)]
    assert lab.addresses("web.shop.svc.cluster.local.") == ["silence"]
    assert lab.page(8080, "/health").error == "refused"


def test_a_killed_process_is_gone_at_once() -> None:
    lab = Lab().start()
    lab.app.kill(lab.engine.now)
    assert [code for code, _ in lab.exits] == [137]
    assert lab.addresses("web.shop.svc.cluster.local.") == ["silence"]
    lab.service()
    lab.wait(2 * S)  # its watches are gone, too
    assert lab.app.world.local.service("shop", "web") is None


def test_a_hung_process_is_silent_and_catches_up() -> None:
    lab = Lab()
    lab.service()
    lab.start()
    name = "web.shop.svc.cluster.local."
    lab.app.hang(lab.engine.now)
    got: list[bytes] = []
    socket = lab.client.ns.sockets.open_udp(lambda _s, payload, _src, _port, _now: got.append(payload))
    socket.send(b"\1\2" + lab.codec.query(name, A), ip(DNS), 53, lab.engine.now)
    assert lab.page(8080, "/health").error == "timeout"
    assert not got
    lab.app.resume(lab.engine.now)
    lab.wait(100 * MS)
    assert len(got) == 1
    assert lab.addresses(name) == ["10.96.0.7"]


@pytest.mark.parametrize("text", [". {\n nonesuch\n}", ". {"])
def test_a_bad_corefile_ends_the_process(text: str) -> None:
    lab = Lab(text).start()
    assert [code for code, _ in lab.exits] == [1]
    assert "Corefile:" in lab.app.problem


@pytest.mark.parametrize("port", [53, 8080])
def test_a_port_that_is_taken_ends_the_process(port: int) -> None:
    """As with hostNetwork, beside another server on the node."""
    lab = Lab()
    lab.host.ns.sockets.listen(port, lambda _conn, _now: None)  # type: ignore[arg-type,return-value]
    lab.start()
    assert [code for code, _ in lab.exits] == [1]


def test_names_outside_need_an_upstream() -> None:
    lab = Lab().start()
    reply = lab.ask("www.example.com.", wait=7 * S)  # nobody lives at the pod's name server
    assert reply is not None
    assert reply.rcode == 2


# -- the add-on's objects ------------------------------------------------------------------------------------------


def test_the_tenth_address_is_that_of_kube_dns() -> None:
    assert cluster_dns_address("10.96.0.0/12") == "10.96.0.10"
    assert cluster_dns_address("fd00:10:96::/112") == "fd00:10:96::a"
    with pytest.raises(ValueError, match="no address number 10"):
        cluster_dns_address("10.96.0.0/29")


def test_the_add_on_can_be_created_and_its_pods_run_coredns() -> None:
    lab = Lab()
    for obj in dns_objects(replicas=3):
        lab.api.create(obj)
    service = lab.api.get(Service, "kube-system", "kube-dns")
    deployment = lab.api.get(Deployment, "kube-system", "coredns")
    assert service is not None
    assert deployment is not None
    assert (service.spec.clusterIP, deployment.spec.replicas) == ("10.96.0.10", 3)
    template = deployment.spec.template
    pod = Pod.model_validate({
        "metadata": {"name": "coredns-1", "namespace": "kube-system"}, "spec": template.spec.model_dump(),
    })  # fmt: skip
    container = pod.spec.containers[0]
    found = mounted_files(pod.spec, container, lambda name: lab.api.get(ConfigMap, "kube-system", name))
    assert list(found) == ["/etc/coredns/Corefile"]
    lab.app = coredns_apps(lab.api, Timing())(pod, container, lab.host)
    lab.start()
    assert lab.addresses("kube-dns.kube-system.svc.cluster.local.") == ["10.96.0.10"]
    probe = container.readinessProbe
    assert probe is not None
    assert probe.httpGet is not None
    assert lab.page(int(probe.httpGet.port), probe.httpGet.path).status == 200


def test_a_container_without_its_config_map_gives_up() -> None:
    lab = Lab()
    pod: Any = parse_object({
        "kind": "Pod", "metadata": {"name": "coredns-1", "namespace": "kube-system"},
        "spec": {"containers": [{"name": "coredns", "image": "coredns"}]},
    })  # fmt: skip
    make: Callable[..., CoreDnsApp] = coredns_apps(lab.api, Timing())
    lab.app = make(pod, pod.spec.containers[0], lab.host)
    lab.app.exited = lambda code, now: lab.exits.append((code, now))
    lab.start()
    assert [code for code, _ in lab.exits] == [1]


def test_answers_of_the_same_world_are_equal_bytes() -> None:
    """Two questions with different ids differ in their id only."""
    lab = Lab()
    lab.service()
    lab.start()
    got: list[bytes] = []
    socket = lab.client.ns.sockets.open_udp(lambda _s, payload, _src, _port, _now: got.append(payload))
    for number in range(4):
        query = number.to_bytes(2) + lab.codec.query("web.shop.svc.cluster.local.", A)
        socket.send(query, ip(DNS), 53, lab.engine.now)
        lab.wait(10 * MS)
    assert [payload[:2] for payload in got] == [number.to_bytes(2) for number in range(4)]
    assert len({payload[2:] for payload in got}) == 1
    assert ip_text(got[0][-4:]) == "10.96.0.7"
