"""The kubelet's signs of life: the node's lease, and the node's status.

Called by: `kubelet.py`. Source: k8s.io/component-helpers/apimachinery/lease/controller.go (renewal every quarter of the
lease duration, up to 4 % later), pkg/kubelet/kubelet_node_status.go; timing facts kubelet.leaseRenewInterval.

The status is computed every 10 s and written when the stored one differs: after the node lifecycle controller has set
Ready to Unknown, a node that is back says so within 10 s. Simplified: the unchanged status that upstream repeats every
five minutes is not written; the lease says the same.
"""

from functools import partial

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.client import ApiClient
from netsim.cluster.errors import ApiError
from netsim.cluster.objects import (
    Condition,
    Lease,
    LeaseSpec,
    Node,
    NodeAddress,
    NodeSpec,
    NodeStatus,
    ObjectMeta,
    evolve,
)
from netsim.cluster.runtime import NodeConfig
from netsim.cluster.timing import KubeletTiming
from netsim.engine import Engine, S

LEASE_NAMESPACE = "kube-node-lease"


class Heartbeat:
    """Registration, lease and status of one node."""

    def __init__(self, engine: Engine, client: ApiClient, timing: KubeletTiming, node: NodeConfig) -> None:
        self._engine = engine
        self._client = client
        self._timing = timing
        self._node = node
        self._random = engine.stream(f"kubelet/{node.name}/lease")
        self._renewing = False
        self._reporting = False
        self.alive = True
        self.registered = False

    @property
    def _api(self) -> ApiServer:
        return self._client.api

    def start(self) -> None:
        """Register the node and begin the rhythm, at a phase of the node's own."""
        self._client.submit(self._register, self._registered)

    def stop(self) -> None:
        """The node has died."""
        self.alive = False

    def _register(self) -> None:
        if self._api.get(Node, "", self._node.name) is None:
            self._api.create(self._object())
        else:
            self._api.patch(Node, "", self._node.name, self._with_ready)
        self._write_lease()

    def _registered(self, _result: None, _error: ApiError | None) -> None:
        self.registered = True
        interval = self._interval_ns(0.0)
        self._engine.call_later(int(self._random.random() * interval), self._renew)
        status_ns = self._timing.node_status_update_ns
        self._engine.call_later(int(self._random.random() * status_ns), self._look_at_status)

    # ------------------------------------------------------------------------------------------------ lease
    def _interval_ns(self, jitter: float) -> int:
        interval = self._timing.lease_duration_ns * self._timing.lease_renew_fraction
        return int(interval * (1.0 + jitter * self._timing.lease_renew_jitter))

    def _renew(self) -> None:
        if not self.alive:
            return
        if not self._renewing:  # one that waits for the connection is enough
            self._renewing = True
            self._client.submit(self._write_lease, self._renewed)
        self._engine.call_later(self._interval_ns(self._random.random()), self._renew)

    def _renewed(self, _result: None, _error: ApiError | None) -> None:
        self._renewing = False

    def _write_lease(self) -> None:
        now, name = self._engine.now, self._node.name
        if self._api.get(Lease, LEASE_NAMESPACE, name) is None:
            spec = LeaseSpec(
                holderIdentity=name,
                leaseDurationSeconds=max(1, self._timing.lease_duration_ns // S),
                acquireTime=now,
                renewTime=now,
            )
            self._api.create(Lease(metadata=ObjectMeta(name=name, namespace=LEASE_NAMESPACE), spec=spec))
        else:
            self._api.patch(Lease, LEASE_NAMESPACE, name, partial(_renewed_at, now))

    # ------------------------------------------------------------------------------------------------ status
    def _look_at_status(self) -> None:
        if not self.alive:
            return
        stored = self._api.get(Node, "", self._node.name)
        if not self._reporting and (stored is None or not _is_ready(stored)):
            self._reporting = True  # one that waits for the connection is enough
            self._client.submit(self._write_status, self._reported)
        self._engine.call_later(self._timing.node_status_update_ns, self._look_at_status)

    def _reported(self, _result: None, _error: ApiError | None) -> None:
        self._reporting = False

    def _write_status(self) -> None:
        if self._api.get(Node, "", self._node.name) is not None:
            self._api.patch(Node, "", self._node.name, self._with_ready)

    def _with_ready(self, node: Node) -> Node:
        others = tuple(entry for entry in node.status.conditions if entry.type != "Ready")
        return evolve(node, {"status.conditions": (*others, self._ready())})

    def _ready(self) -> Condition:
        now = self._engine.now
        return Condition(
            type="Ready",
            status="True",
            reason="KubeletReady",
            lastHeartbeatTime=now,
            lastTransitionTime=now,
        )

    def _object(self) -> Node:
        config = self._node
        return Node(
            metadata=ObjectMeta(name=config.name, labels={**_own_labels(config.name), **config.labels}),
            spec=NodeSpec(podCIDR=config.pod_cidr, podCIDRs=config.pod_cidrs, taints=config.taints),
            status=NodeStatus(
                conditions=(self._ready(),),
                addresses=(
                    *(NodeAddress(type="InternalIP", address=address) for address in config.addresses),
                    NodeAddress(type="Hostname", address=config.name),
                ),
            ),
        )


def _own_labels(name: str) -> dict[str, str]:
    """The labels that every kubelet gives its node (kubelet_node_status.go, initialNode)."""
    return {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}


def _renewed_at(now: int, lease: Lease) -> Lease:
    return evolve(lease, spec__renewTime=now)


def _is_ready(node: Node) -> bool:
    ready = node.status.condition("Ready")
    return ready is not None and ready.status == "True"
