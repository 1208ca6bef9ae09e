"""Services without a selector: hand-written Endpoints and EndpointSlices to servers outside the cluster."""

from collections.abc import Iterator

import pytest
from servicelab import MODES, Asker, pod, service, settled
from systemlab import resolve

from netsim.cluster.objects import Endpoints, EndpointSlice, Service, evolve
from netsim.workload.echo import EchoServer

MORE = """\
  - {name: mysql-1, address: 192.168.26.81, serves: [{port: 3306, app: echo, serviceTime: 1ms}, {port: 80}]}
  - {name: mysql-2, address: 192.168.26.82, serves: [{port: 3306, app: echo, serviceTime: 1ms}, {port: 80}]}
  - {name: names, address: 192.168.26.90, serves: [{port: 5353, protocol: UDP}]}
"""
ENDPOINTS = """\
---
apiVersion: v1
kind: Endpoints
metadata: {name: mysql}
subsets:
- {addresses: [{ip: 192.168.26.81}, {ip: 192.168.26.82}], ports: [{port: 3306}]}
---
apiVersion: v1
kind: Endpoints
metadata: {name: names}
subsets:
- {addresses: [{ip: 192.168.26.90}], ports: [{port: 5353, protocol: UDP}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
ports: [{name: "", port: 80, protocol: TCP}]
endpoints: [{addresses: [192.168.26.82]}, {addresses: [192.168.26.81]}]
"""
OBJECTS = (
    pod("client", "n1", "run: client", "{name: c, image: busybox}")
    + service("mysql", "ports: [{port: 3306}]", selector="")
    + service("names", "ports: [{port: 53, targetPort: 5353, protocol: UDP}]", selector="")
    + service("web", "type: NodePort, ports: [{port: 80, nodePort: 30080}]", selector="")
    + service("nowhere", "ports: [{port: 80}]", selector="")
    + ENDPOINTS
)
BOTH = {"192.168.26.81:3306", "192.168.26.82:3306"}


@pytest.fixture(scope="module", params=MODES)
def ask(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    asker = settled(tmp_path_factory.mktemp("endpoints"), request.param, OBJECTS, MORE)
    yield asker
    assert asker.cluster.books().closes


def endpoints(ask: Asker, url: str, times: int = 16, source: str = "pod/client") -> set[str]:
    asked = [ask(source, url) for _ in range(times)]
    assert {one.outcome for one in asked} == {"ok"}
    return {one.backend.endpoint for one in asked}


def test_endpoints_are_mirrored(ask: Asker) -> None:
    (mirrored,) = [s for s in ask.cluster.api.list(EndpointSlice) if s.service_name == "mysql"]
    assert mirrored.metadata.labels["endpointslice.kubernetes.io/managed-by"].startswith(
        "endpointslicemirroring"
    )
    assert sorted(a for e in mirrored.endpoints for a in e.addresses) == ["192.168.26.81", "192.168.26.82"]


def test_its_name_is_its_cluster_address(ask: Asker) -> None:
    found = ask.cluster.api.get(Service, "default", "mysql")
    assert found is not None
    assert resolve(ask.cluster, "pod/client", "mysql.default.svc.cluster.local") == (found.spec.clusterIP,)


def test_connections_spread_over_the_servers(ask: Asker) -> None:
    assert endpoints(ask, "tcp://mysql:3306") == BOTH
    assert endpoints(ask, "http://web/") == {"192.168.26.82:80", "192.168.26.81:80"}
    assert endpoints(ask, "http://n3:30080/", source="external/laptop") == {
        "192.168.26.82:80",
        "192.168.26.81:80",
    }
    assert endpoints(ask, "udp://names:53") == {"192.168.26.90:5353"}


def test_the_servers_see_the_node(ask: Asker) -> None:
    """The pod network masquerades what leaves it."""
    (server, _) = ask.cluster.outside_apps["mysql-1"]
    assert isinstance(server, EchoServer)
    endpoints(ask, "tcp://mysql:3306")
    assert set(server.clients) == {ask.cluster.host("node/n1").address}


def test_without_endpoints_it_is_refused(ask: Asker) -> None:
    assert ask("pod/client", "http://nowhere/").outcome == "refused"


def test_affinity_set_later_pins_and_takes_back(ask: Asker) -> None:
    """The tutorial's `kubectl edit svc`: sessionAffinity from None to ClientIP."""
    api = ask.cluster.api
    api.patch(Service, "default", "mysql", lambda s: evolve(s, {"spec.sessionAffinity": "ClientIP"}))
    ask.run("3s")
    assert len(endpoints(ask, "tcp://mysql:3306")) == 1
    api.patch(Service, "default", "mysql", lambda s: evolve(s, {"spec.sessionAffinity": "None"}))
    ask.run("3s")
    assert endpoints(ask, "tcp://mysql:3306") == BOTH


def test_an_address_taken_out_of_the_endpoints_gets_nothing(ask: Asker) -> None:
    def one(found: Endpoints) -> Endpoints:
        (subset,) = found.subsets
        return evolve(found, {"subsets": (evolve(subset, addresses=subset.addresses[:1]),)})

    ask.cluster.api.patch(Endpoints, "default", "mysql", one)
    ask.run("3s")
    assert endpoints(ask, "tcp://mysql:3306") == {"192.168.26.81:3306"}
