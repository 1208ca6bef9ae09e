"""What is outside the cluster, from the topology's words: load balancers, routes, servers, /etc/hosts.

Called by `cluster.py`, after `build.build_nodes` has plugged in nodes and outside hosts.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from netsim.cluster.controllers.service_lb import CloudBalancer
from netsim.experiment.settings import link_spec
from netsim.fabric.balancer import Balancer
from netsim.fabric.balancer_health import HealthCheck
from netsim.fabric.balancer_spec import PRESETS, BalancerSpec
from netsim.wire.addr import Address, Prefix, ip
from netsim.workload.echo import EchoServer, EchoSpec
from netsim.workload.http_server import HttpServer, ServerSpec

if TYPE_CHECKING:
    from netsim.experiment.spec_cluster import ClusterSpec
    from netsim.experiment.spec_outside import LoadBalancer, Serve
    from netsim.fabric.app import App
    from netsim.fabric.fabric import Fabric
    from netsim.fabric.host import Host


def build_balancers(fabric: "Fabric", spec: "ClusterSpec") -> tuple[CloudBalancer, ...]:
    """The load balancers, plugged into the underlay, and what their controllers need to know."""
    made = []
    for entry in spec.balancers(spec.networking.balanced_subnet):
        addresses = Prefix.parse(entry.spec.addresses)
        link = link_spec(spec.link(f"{entry.name}:eth0"))
        settings = balancer_spec(entry.spec)
        balancer = Balancer(fabric, entry.name, ip(entry.address), addresses, settings, link)
        made.append(CloudBalancer(balancer, addresses, entry.class_name))
    return tuple(made)


def balancer_spec(given: "LoadBalancer") -> BalancerSpec:
    """The preset with what the file says otherwise."""
    preset, check = PRESETS[given.preset], given.healthCheck
    return replace(
        preset,
        mode=given.mode or preset.mode,
        idle_ns=given.idle_ns or preset.idle_ns,
        fail_open=preset.fail_open if given.failOpen is None else given.failOpen,
        check=HealthCheck(
            check.interval_ns or preset.check.interval_ns,
            check.timeout_ns or preset.check.timeout_ns,
            check.healthyThreshold or preset.check.healthy,
            check.unhealthyThreshold or preset.check.unhealthy,
        ),
        cluster_target=check.clusterTarget or preset.cluster_target,
    )


def build_routes(fabric: "Fabric", spec: "ClusterSpec") -> None:
    """The router's static routes to nodes."""
    for route in spec.routes:
        fabric.route_outside(Prefix.parse(route.to), fabric.nodes[route.via].address)


def start_servers(fabric: "Fabric", spec: "ClusterSpec") -> "dict[str, tuple[App, ...]]":
    """The servers on outside hosts, started; by the host's name."""
    started = {}
    for external in spec.external:
        host = fabric.outside[external.name]
        apps = tuple(_app(host, serve) for serve in external.serves)
        for app in apps:
            app.start(fabric.engine.now)
        started[external.name] = apps
    return started


def _app(host: "Host", serve: "Serve") -> "App":
    if serve.is_http:
        server = ServerSpec(ports=(serve.port,), image="http", pod=host.name, service_ns=serve.service_ns)
        return HttpServer(host, server)
    tcp, udp = ((serve.port,), ()) if serve.protocol == "TCP" else ((), (serve.port,))
    return EchoServer(host, EchoSpec(tcp, udp, serve.service_ns))


def hosts_file(fabric: "Fabric", host: "Host") -> dict[str, tuple[Address, ...]]:
    """/etc/hosts of nodes and outside hosts: all nodes and outside hosts by name. Pods have the cluster's DNS only."""
    if host.name in fabric.pods:
        return {}
    return {other.name: (other.address,) for other in (*fabric.nodes.values(), *fabric.outside.values())}
