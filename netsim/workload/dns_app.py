"""CoreDNS for the pods whose image is coredns: knows the API server, which exists only after the runtime
(`connect`)."""

from typing import TYPE_CHECKING

from netsim.cluster.objects import ConfigMap, Container, Pod
from netsim.fabric.app import App
from netsim.fabric.host import Host

if TYPE_CHECKING:
    from netsim.cluster.apiserver import ApiServer
    from netsim.cluster.timing import Timing
    from netsim.fabric.fabric import Fabric


class DnsApps:
    """Makes CoreDNS processes."""

    def __init__(self, domain: str, pod_subnet: str) -> None:
        self._domain = domain
        self._pod_subnet = pod_subnet
        self._api: ApiServer | None = None
        self._timing: Timing | None = None

    def connect(self, api: "ApiServer", timing: "Timing", fabric: "Fabric") -> None:
        """The API server that all CoreDNS pods watch."""
        self._api = api
        self._timing = timing

    def app_for(self, pod: Pod, container: Container, host: Host) -> App:
        """A CoreDNS process."""
        from netsim.cluster.dns.coredns import CoreDnsApp
        from netsim.cluster.dns.manifests import COREFILE_KEY, NAME, NAMESPACE

        assert self._api is not None
        assert self._timing is not None
        found = self._api.get(ConfigMap, NAMESPACE, NAME)
        text = found.data.get(COREFILE_KEY) if found is not None else None
        return CoreDnsApp(host, self._api, self._timing, text)
