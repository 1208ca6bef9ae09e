"""All ingress controller processes of a cluster: makes them, knows the leader, and tells when they are up to date.

Called by `containers.py` for images called ingress-nginx/controller, and by the cluster while it boots.
"""

from typing import TYPE_CHECKING

from netsim.cluster.ingress.configuration import Options
from netsim.cluster.ingress.status import addresses, outdated
from netsim.workload.ingress.process import IngressNginx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netsim.cluster.apiserver import ApiServer
    from netsim.cluster.objects import Container, Pod
    from netsim.cluster.timing import Timing
    from netsim.fabric.app import App
    from netsim.fabric.host import Host

IMAGE = "ingress-nginx/controller"


def is_controller(image: str) -> bool:
    """Whether an image is ingress-nginx's controller, whatever its registry, tag and digest."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}".endswith(IMAGE)


class IngressControllers:
    """Makes the processes. The API server exists only after the container runtime: `connect`."""

    api: "ApiServer"
    timing: "Timing"

    def __init__(self) -> None:
        self.running: list[IngressNginx] = []

    def connect(self, api: "ApiServer", timing: "Timing") -> None:
        """The API server that all controllers watch."""
        self.api = api
        self.timing = timing

    def app_for(self, pod: "Pod", container: "Container", host: "Host") -> "App":
        """A controller process."""
        args = [str(text) for text in (*(container.command or ()), *(container.args or ()))]
        options = Options.parse(args, pod.metadata.namespace)
        made = IngressNginx(host, pod.key, options, self)
        self.running.append(made)
        return made

    def forget(self, process: IngressNginx) -> None:
        """A process has ended."""
        if process in self.running:
            self.running.remove(process)

    @property
    def leader(self) -> IngressNginx | None:
        """The process that writes the status: the oldest one that works."""
        return next((process for process in self.running if process.running and process.host.alive), None)

    def unsettled(self) -> "Iterator[str]":
        """What is missing before all controllers know everything and every Ingress shows its address, in words."""
        for process in self.running:
            if process.running and not process.settled:
                yield f"{process.host.name} has not taken over the last change of Ingresses and endpoints"
        leader = self.leader
        if leader is None:
            return
        wanted = addresses(self.api, leader.options, leader.pod)
        for ingress in outdated(self.api, leader.options, wanted) if wanted else ():
            yield f"Ingress {'/'.join(ingress.key)} does not show its address yet"
