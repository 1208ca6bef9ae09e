"""The processes of the cluster's DNS pods, by image: CoreDNS, and the three of kube-dns.

Called by `containers`. Knows the API server, which exists only after the runtime (`connect`). A server reads its
mounted ConfigMap as it is when the process starts.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from netsim.cluster.objects import Container, Pod
from netsim.fabric.app import App
from netsim.fabric.host import Host

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.cluster.timing import Timing
    from netsim.fabric.fabric import Fabric

Make = Callable[[Pod, Container, Host], App]


class DnsApps:
    """Makes DNS servers. `IMAGES` are the last parts of their images' names."""

    IMAGES = ("coredns", "k8s-dns-kube-dns", "k8s-dns-dnsmasq-nanny", "k8s-dns-sidecar")

    def __init__(self, domain: str, pod_subnet: str) -> None:
        self._domain = domain
        self._pod_subnet = pod_subnet
        self._makers: dict[str, Make] = {}

    def connect(self, api: "ApiServer", timing: "Timing", fabric: "Fabric") -> None:
        """The API server that all DNS pods watch."""
        from netsim.cluster.dns.coredns import coredns_apps
        from netsim.cluster.dns.kubedns_pod import kubedns_apps

        self._makers = {"coredns": coredns_apps(api, timing), **kubedns_apps(api, timing, self._domain)}

    def app_for(self, pod: Pod, container: Container, host: Host) -> App:
        """A process of a DNS container."""
        return self._makers[image_name(container)](pod, container, host)


def image_name(container: Container) -> str:
    """`registry.k8s.io/coredns/coredns:v1.12.1` -> `coredns`."""
    return container.image.rsplit("/", 1)[-1].split(":", 1)[0].split("@", 1)[0]
