"""What every service dataplane offers to kube-proxy, and the report of one synchronisation.

::

    dataplane = IptablesDataplane(config)          # one per cluster: holds what nodes can share
    proxier = dataplane.on_node(node_view)         # one per kube-proxy process
    prepared = proxier.prepare(namespace, old, new)  # old None: a full sync (first run, forced, after a failure)
    ...                                            # prepared.report.cost_ns later, unless the process was stopped:
    prepared.commit()                              # the rules stand, at one stroke

A restarted kube-proxy is a new `on_node(...)`; the rules of its predecessor stay in the namespace until its first sync.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

from netsim.dataplane.node_view import NodeView
from netsim.dataplane.service_table import ServiceTable

Ns_contra = TypeVar("Ns_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What one synchronisation did. `lines_written` are the lines given to the kernel's tool, `rules_total` the rules
    that stand afterwards; `cost_ns` is how long it took in simulated time (kube-proxy waits that long before the
    rules count as synced). `script()` renders what the tool was given."""

    full: bool
    services_changed: int
    rules_written: int
    chains_written: int
    chains_deleted: int
    lines_written: int
    rules_total: int
    cost_ns: int
    script: Callable[[], str] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A synchronisation that has been worked out. `commit()` writes it; without it nothing changes."""

    report: SyncReport
    commit: Callable[[], None]


class NodeDataplane(Protocol[Ns_contra]):
    """The dataplane of one node."""

    @property
    def name(self) -> str:
        """The kube-proxy mode: iptables, nftables, ipvs."""
        ...

    def prepare(self, ns: Ns_contra, old: ServiceTable | None, new: ServiceTable) -> Prepared:
        """Work out how to make the namespace serve `new`. `old` is the table of this object's last sync; None asks
        for a full sync."""
        ...

    def sync(self, ns: Ns_contra, old: ServiceTable | None, new: ServiceTable) -> SyncReport:
        """`prepare` and `commit` in one."""
        ...


@runtime_checkable
class Housekeeping(Protocol):
    """A node dataplane that also has something to do every `period_ns`, from the start of the process on."""

    period_ns: int

    def housekeep(self, ns: Any) -> None:
        """Do it."""


class Dataplane(Protocol[Ns_contra]):
    """A dataplane for a whole cluster."""

    @property
    def name(self) -> str:
        """The kube-proxy mode: iptables, nftables, ipvs."""
        ...

    def on_node(self, node: NodeView) -> NodeDataplane[Ns_contra]:
        """The dataplane for one kube-proxy process."""
        ...
