"""Services and what the API server says about them, alone and as a change."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.errors import InvalidError
from netsim.cluster.objects import EndpointSlice, Ingress, Service, evolve
from netsim.cluster.timing import Timing
from netsim.cluster.validation.endpoints import validate_slice
from netsim.cluster.validation.service import (
    check_cluster_families,
    validate_service,
    validate_service_update,
)
from netsim.engine import Engine

LB = {"type": "LoadBalancer"}
LOCAL = {**LB, "externalTrafficPolicy": "Local"}


def service(name: str = "web", **spec: Any) -> Service:
    if spec.get("type") != "ExternalName":
        spec.setdefault("ports", [{"port": 80}])
    return Service.model_validate({"metadata": {"name": name, "namespace": "default"}, "spec": spec})


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, []),
        ({"ports": []}, ["spec.ports: Required value"]),
        ({"ports": [], "clusterIP": "None"}, []),
        ({"clusterIP": "None", "type": "NodePort"},
         ['spec.clusterIP: Invalid value: "None": may not be set to \'None\' for NodePort services']),
        ({"type": "ExternalName", "externalName": "a.example.com."}, []),
        ({"type": "ExternalName"}, ["spec.externalName: Required value"]),
        ({"type": "ExternalName", "externalName": "a", "clusterIPs": ["10.96.0.9"]},
         ["spec.clusterIPs: Forbidden: may not be set for ExternalName services"]),
        ({"ports": [{"port": 80, "nodePort": 30080}]},
         ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"]),
        ({"type": "NodePort", "ports": [{"port": 53, "name": "t", "nodePort": 30053},
                                        {"port": 53, "name": "u", "nodePort": 30053, "protocol": "UDP"}]}, []),
        ({"type": "NodePort", "ports": [{"port": 53, "name": "t", "nodePort": 30053},
                                        {"port": 54, "name": "u", "nodePort": 30053}]},
         ["spec.ports[1].nodePort: Duplicate value: 30053"]),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86400}}}, []),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 86401}}},
         ["spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: "
          "must be greater than 0 and less than 86400"]),
        ({"sessionAffinityConfig": {}},
         ["spec.sessionAffinityConfig: Forbidden: must not be set when session affinity is None"]),
        ({"externalTrafficPolicy": "Local"},
         ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services']),
        ({"externalTrafficPolicy": "Local", "externalIPs": ["203.0.113.1"]}, []),
        ({**LB, "healthCheckNodePort": 30001},
         ["spec.healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and "
          "`externalTrafficPolicy` is 'Local'"]),
        ({**LOCAL, "healthCheckNodePort": 30001}, []),
        ({**LOCAL, "healthCheckNodePort": 70000},
         ["spec.healthCheckNodePort: Invalid value: 70000: must be between 1 and 65535, inclusive"]),
        ({"allocateLoadBalancerNodePorts": False},
         ["spec.allocateLoadBalancerNodePorts: Forbidden: may only be used when `type` is 'LoadBalancer'"]),
        ({**LB, "loadBalancerSourceRanges": [" 10.0.0.0/8 "], "loadBalancerClass": "a.b/c"}, []),
        ({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"]}, []),
        ({"clusterIPs": ["None", "10.96.0.9"]},
         ['spec.clusterIPs: Invalid value: ["None", "10.96.0.9"]: may only hold up to 1 value when set to \'None\'']),
        ({"clusterIP": "fd00::9", "ipFamilies": ["IPv4"]},
         ['spec.clusterIP: Invalid value: "fd00::9": expected an IPv4 value as indicated by `ipFamilies[0]`']),
    ],
)  # fmt: skip
def test_a_service_alone(spec: dict[str, Any], said: list[str]) -> None:
    assert [str(error) for error in validate_service(service(**spec))] == said


@pytest.mark.parametrize(
    ("spec", "families", "said"),
    [
        ({"ipFamilyPolicy": "RequireDualStack"}, ("IPv4",), 1),
        ({"ipFamilyPolicy": "RequireDualStack"}, ("IPv4", "IPv6"), 0),
        ({"ipFamilyPolicy": "PreferDualStack"}, ("IPv4",), 0),
        ({"ipFamilies": ["IPv6"]}, ("IPv4",), 1),
        (
            {"ipFamilies": ["IPv6"], "clusterIP": "None"},
            ("IPv4",),
            0,
        ),  # headless without selector: anything goes
    ],
)
def test_families_of_the_cluster(spec: dict[str, Any], families: tuple[str, ...], said: int) -> None:
    assert len(list(check_cluster_families(service(**spec), families))) == said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({"clusterIP": "10.96.0.9"}, {"clusterIP": "10.96.0.9", "type": "NodePort"}, []),
        ({"clusterIP": "10.96.0.9"}, {"clusterIP": "None"},
         ['spec.clusterIPs[0]: Invalid value: ["None"]: may not change once set']),
        ({"clusterIP": "10.96.0.9"}, {}, ["spec.clusterIPs[0]: Required value: primary clusterIP can not be unset"]),
        ({"clusterIP": "10.96.0.9"}, {"type": "ExternalName", "externalName": "a"}, []),
        ({"type": "ExternalName", "externalName": "a"}, {"clusterIP": "10.96.0.9"}, []),
        ({**LB, "loadBalancerClass": "a/b"}, {**LB, "loadBalancerClass": "a/c"},
         ['spec.loadBalancerClass: Invalid value: "a/c": may not change once set']),
        ({}, {**LB, "loadBalancerClass": "a/c"}, []),
        ({**LOCAL, "healthCheckNodePort": 30001}, {**LOCAL, "healthCheckNodePort": 30002},
         ["spec.healthCheckNodePort: Forbidden: field is immutable"]),
    ],
)  # fmt: skip
def test_a_change(old: dict[str, Any], new: dict[str, Any], said: list[str]) -> None:
    assert [str(error) for error in validate_service_update(service(**old), service(**new))] == said


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["TCP", "UDP"])), min_size=1, max_size=5))
def test_ports_are_unique_by_number_and_protocol(ports: list[tuple[int, str]]) -> None:
    given_ports = [{"name": f"p{i}", "port": 80 + n, "protocol": p} for i, (n, p) in enumerate(ports)]
    said = [error for error in validate_service(service(ports=given_ports)) if "Duplicate" in error.text]
    assert len(said) == len(ports) - len(set(ports))


def test_the_server_refuses_in_the_same_words() -> None:
    api = ApiServer(Engine(1), Timing.for_version("1.34"))
    with pytest.raises(InvalidError) as one:
        api.create(service(type="NodePort", ports=[{"port": 80, "nodePort": 29999}]))
    assert one.value.args[0] == (
        'Service "web" is invalid: spec.ports[0].nodePort: Invalid value: 29999: provided port is not in the valid '
        "range. The range of valid ports is 30000-32767"
    )
    with pytest.raises(InvalidError) as several:
        api.create(service(ports=[], externalIPs=["127.0.0.1"]))
    assert several.value.args[0] == (
        'Service "web" is invalid: [spec.ports: Required value, spec.externalIPs[0]: Invalid value: "127.0.0.1": '
        "may not be in the loopback range (127.0.0.0/8, ::1/128)]"
    )
    with pytest.raises(
        InvalidError, match="failed to allocate requested HealthCheck NodePort 30080: provided port is"
    ):
        api.create(service(**LOCAL, healthCheckNodePort=30080, ports=[{"port": 80, "nodePort": 30080}]))
    with pytest.raises(InvalidError, match="either `defaultBackend` or `rules` must be specified"):
        api.create(Ingress())
    assert api.list(Service) == []
    # what had been allocated before the refusal is free again
    api.create(service("other", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    with pytest.raises(InvalidError, match="already allocated"):
        api.create(service(clusterIP="10.96.0.9", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    assert api.create(service(clusterIP="10.96.0.9")).spec.clusterIP == "10.96.0.9"


def test_the_server_refuses_changes() -> None:
    api = ApiServer(Engine(1), Timing.for_version("1.34"))
    made = api.create(service())
    with pytest.raises(InvalidError, match="may not change once set"):
        api.update(evolve(made, spec__clusterIP="10.96.7.7"))
    with pytest.raises(InvalidError, match="externally-accessible"):
        api.patch(Service, "default", "web", lambda old: evolve(old, spec__externalTrafficPolicy="Local"))
    assert api.get(Service, "default", "web") == made


@pytest.mark.parametrize(
    ("number", "said"), [(1000, ""), (1001, "Too many: 1001: must have at most 1000 items")]
)
def test_a_slice_has_at_most_1000_endpoints(number: int, said: str) -> None:
    endpoints = [{"addresses": [f"10.1.{n // 250}.{n % 250 + 1}"]} for n in range(number)]
    made = EndpointSlice.model_validate(
        {"metadata": {"name": "s"}, "addressType": "IPv4", "endpoints": endpoints}
    )
    assert [error.text for error in validate_slice(made)] == ([said] if said else [])
