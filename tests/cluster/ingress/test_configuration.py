"""API objects become servers and upstreams: classes, conflicts, defaults, endpoints, settings."""

from typing import Any

import pytest

from netsim.cluster.ingress.configuration import Configuration, Objects, Options, configure, is_ours
from netsim.cluster.ingress.settings import PREFIX, ControllerSettings, controller_settings, location_settings
from netsim.cluster.objects import EndpointSlice, Ingress, IngressClass, Service, evolve
from netsim.cluster.objects.ingress import from_v1beta1
from netsim.engine import S
from netsim.wire.addr import ip

NGINX = IngressClass.model_validate(
    {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}}
)


def ingress(name: str = "i", at: int = 0, annotations: Any = None, **spec: Any) -> Ingress:
    spec.setdefault("ingressClassName", "nginx")
    meta = {"name": name, "namespace": "default", "creationTimestamp": at, "annotations": annotations or {}}
    return Ingress.model_validate({"metadata": meta, "spec": spec})


def rule(host: str, *paths: tuple[str, str, Any]) -> dict[str, Any]:
    return {"host": host, "http": {"paths": [
        {"path": path, "pathType": "Prefix", "backend": backend(name, port)} for path, name, port in paths
    ]}}  # fmt: skip


def backend(name: str, port: Any) -> dict[str, Any]:
    return {"service": {"name": name, "port": {"name" if isinstance(port, str) else "number": port}}}


def service(name: str, **spec: Any) -> Service:
    spec.setdefault("clusterIP", "10.96.9.9")
    spec.setdefault("ports", [{"name": "http", "port": 80}, {"name": "admin", "port": 81}])
    return Service.model_validate({"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def endpoints(
    name: str, *addresses: str, ready: bool = True, port: str = "http", number: int = 8080
) -> EndpointSlice:
    return EndpointSlice.model_validate({
        "metadata": {"name": f"{name}-{port}-{ready}", "namespace": "default",
                     "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": port, "port": number}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    })  # fmt: skip


def configured(*items: Any, options: Options | None = None) -> Configuration:
    kinds: dict[type, dict[Any, Any]] = {
        Ingress: {},
        IngressClass: {NGINX.key: NGINX},
        Service: {},
        EndpointSlice: {},
    }
    for item in items:
        if isinstance(item, EndpointSlice):
            kinds[EndpointSlice].setdefault(("default", item.service_name), {})[item.key] = item
        else:
            kinds[type(item)][item.key] = item
    return configure(Objects(*kinds.values()), options or Options(), ControllerSettings())


def peers(made: Configuration, host: str, path: str = "/") -> list[str]:
    upstream = made.table.route(host, path).location.upstream
    return [f"{'.'.join(map(str, address))}:{port}" for address, port in made.upstreams.get(upstream, ())]


def test_upstreams_are_ready_endpoints_of_the_port() -> None:
    made = configured(
        ingress(rules=[rule("h", ("/", "web", 80), ("/admin", "web", "admin"), ("/gone", "web", 82))]),
        service("web"),
        endpoints("web", "10.0.0.2", "10.0.0.1"),
        endpoints("web", "10.0.0.3", ready=False),
        endpoints("web", "10.0.0.1", port="admin", number=9),
    )
    assert peers(made, "h") == ["10.0.0.1:8080", "10.0.0.2:8080"]
    assert peers(made, "h", "/admin") == ["10.0.0.1:9"]
    assert peers(made, "h", "/gone") == []
    assert made.table.route("h", "/gone").location.service == "default/web"
    assert made.upstreams_of_services() == {
        "default/web": ["default-web-admin", "default-web-82", "default-web-80"]
    }


def test_service_upstream_uses_the_cluster_ip() -> None:
    made = configured(
        ingress(annotations={f"{PREFIX}service-upstream": "true"}, rules=[rule("h", ("/", "web", 80))]),
        ingress("j", rules=[rule("k", ("/", "web", 80))]),
        service("web"),
        endpoints("web", "10.0.0.1"),
    )
    assert peers(made, "h") == ["10.96.9.9:80"]
    assert peers(made, "k") == ["10.0.0.1:8080"]


def test_the_oldest_ingress_keeps_a_path() -> None:
    made = configured(
        ingress("young", 2, rules=[rule("h", ("/", "b", 80), ("/only", "b", 80))]),
        ingress("old", 1, rules=[rule("h", ("/", "a", 80))]),
    )
    assert made.table.route("h", "/").location.ingress == "default/old"
    assert made.table.route("h", "/only").location.ingress == "default/young"


def test_default_backends() -> None:
    made = configured(
        ingress("hosts", rules=[rule("h", ("/a", "a", 80))], defaultBackend=backend("rest", 80)),
        ingress("all", defaultBackend=backend("all", 80)),
    )
    assert made.table.route("h", "/b").location.service == "default/rest"
    assert made.table.route("h", "/a").location.service == "default/a"
    assert made.table.route("elsewhere", "/b").location.service == "default/all"


@pytest.mark.parametrize(
    ("changes", "options", "ours"),
    [
        ({}, Options(), True),
        ({"spec.ingressClassName": "alb"}, Options(), False),
        ({"spec.ingressClassName": None}, Options(), False),
        ({"spec.ingressClassName": None}, Options(without_class=True), True),
        ({"metadata.annotations": {"kubernetes.io/ingress.class": "alb"}}, Options(), False),
        ({"metadata.annotations": {"kubernetes.io/ingress.class": "alb"}}, Options("alb"), True),
        ({}, Options(controller_class="example.com/other"), False),
    ],
)
def test_classes(changes: dict[str, Any], options: Options, ours: bool) -> None:
    assert is_ours(evolve(ingress(), changes), [NGINX], options) is ours


def test_a_default_class_serves_ingresses_without_class() -> None:
    default = evolve(NGINX, metadata__annotations={"ingressclass.kubernetes.io/is-default-class": "true"})
    assert is_ours(ingress(ingressClassName=None), [default], Options())


def test_flags() -> None:
    args = ["/nginx-ingress-controller", "--ingress-class=alb", "--watch-ingress-without-class",
            "--publish-service=$(POD_NAMESPACE)/svc", "--configmap=a/b"]  # fmt: skip
    assert Options.parse(args, "ns") == Options(
        "alb", without_class=True, publish_service=("ns", "svc"), config_map=("a", "b")
    )


def test_settings_of_the_config_map_and_of_annotations() -> None:
    made = controller_settings({
        "worker-processes": "auto", "proxy-read-timeout": "7", "proxy-next-upstream": "error http_503",
        "upstream-keepalive-connections": "0", "keep-alive": "x",
    })  # fmt: skip
    assert (made.worker_processes, made.upstream_keepalive_connections, made.keep_alive_ns) == (2, 0, 75 * S)
    assert made.location.proxy_next_upstream == {"error", "http_503"}
    own = location_settings(
        {f"{PREFIX}proxy-connect-timeout": "2", f"{PREFIX}proxy-next-upstream": "off", "other/x": "1"},
        made.location,
    )
    assert (own.proxy_connect_timeout_ns, own.proxy_read_timeout_ns) == (2 * S, 7 * S)
    assert own.proxy_next_upstream == frozenset()


def test_only_endpoints_change_without_a_reload() -> None:
    rules = [rule("h", ("/", "web", 80))]
    before = configured(ingress(rules=rules), service("web"), endpoints("web", "10.0.0.1"))
    after = configured(ingress(rules=rules), service("web"), endpoints("web", "10.0.0.2"))
    assert not after.needs_reload(before)
    assert after.upstreams != before.upstreams == {"default-web-80": ((ip("10.0.0.1"), 8080),)}
    assert configured(ingress(rules=[rule("k", ("/", "web", 80))])).needs_reload(before)


def test_the_old_shape() -> None:
    old = {
        "kind": "Ingress", "spec": {
            "backend": {"serviceName": "rest", "servicePort": "http"},
            "rules": [{"host": "h", "http": {"paths": [
                {"path": "/a", "backend": {"serviceName": "a", "servicePort": 80}},
                {"path": "/b", "pathType": "Exact", "backend": {"serviceName": "b", "servicePort": 80}},
            ]}}],
        },
    }  # fmt: skip
    made = Ingress.model_validate(from_v1beta1(old)).spec
    assert made.defaultBackend is not None
    assert made.defaultBackend.service is not None
    assert made.defaultBackend.service.port.name == "http"
    assert made.rules[0].http is not None
    assert [path.pathType for path in made.rules[0].http.paths] == ["ImplementationSpecific", "Exact"]
    assert from_v1beta1({"spec": {"rules": [7, {"http": {"paths": "x"}}]}})["spec"]["rules"][0] == 7
