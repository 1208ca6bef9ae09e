"""kube-proxy of a dual-stack node: one proxier per family, each with its own table, rules and pace.

Made by `controlplane.py` instead of a single `KubeProxy`. Source: pkg/proxy/metaproxier/meta_proxier.go. Simplified:
each proxier watches for itself, where upstream hands every event of one watch to both.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netsim.cluster.kubeproxy import KubeProxy
    from netsim.dataplane.service_table import ServiceTable


class MetaProxy:
    """One process with a proxier for each family; `primary` is of the cluster's first family."""

    def __init__(self, primary: "KubeProxy", secondary: "KubeProxy") -> None:
        self.node = primary.node
        self.primary = primary
        self.secondary = secondary
        self.proxiers = (primary, secondary)

    def start(self) -> None:
        """Start the process."""
        for proxier in self.proxiers:
            proxier.start()

    def stop(self) -> None:
        """End the process. The rules stay."""
        for proxier in self.proxiers:
            proxier.stop()

    def disconnect(self) -> None:
        """The node cannot reach the API server."""
        for proxier in self.proxiers:
            proxier.disconnect()

    def reconnect(self) -> None:
        """It can again."""
        for proxier in self.proxiers:
            proxier.reconnect()

    @property
    def running(self) -> bool:
        """Whether the process runs."""
        return self.primary.running

    @property
    def synced(self) -> bool:
        """Whether both families have had their first synchronisation."""
        return all(proxier.synced for proxier in self.proxiers)

    @property
    def idle(self) -> bool:
        """Whether the rules of both families are those of everything seen so far."""
        return all(proxier.idle for proxier in self.proxiers)

    @property
    def table(self) -> "ServiceTable":
        """The table of the primary family."""
        return self.primary.table
