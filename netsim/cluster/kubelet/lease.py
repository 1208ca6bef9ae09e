"""The node's heartbeat: a Lease renewed every ten seconds (pkg/kubelet, component-helpers lease controller).

The interval is a quarter of nodeLeaseDurationSeconds, longer by up to 4 % each time (F:kubelet.leaseRenewInterval). While the API server
cannot be reached, the renewal waits and is made when the way is open again.
"""

from typing import TYPE_CHECKING, Final

from netsim.cluster.objects import Lease, LeaseSpec, ObjectMeta, evolve

if TYPE_CHECKING:
    from netsim.cluster.client import ApiClient
    from netsim.cluster.timing import Timing
    from netsim.engine import Engine

NAMESPACE: Final = "kube-node-lease"


class LeaseRenewer:
    """Renews one node's Lease."""

    def __init__(self, engine: "Engine", client: "ApiClient", timing: "Timing", node: str) -> None:
        self._engine = engine
        self._client = client
        self._times = timing.kubelet
        self._node = node
        self._random = engine.stream(f"kubelet/{node}/lease")
        self._stopped = False

    def start(self) -> None:
        """Create the Lease, and renew it from some moment of the first interval on."""
        spec = LeaseSpec(
            holderIdentity=self._node,
            leaseDurationSeconds=self._times.lease_duration_ns // 1_000_000_000,
            renewTime=self._engine.now,
        )
        api = self._client.api
        if api.get(Lease, NAMESPACE, self._node) is None:
            api.create(Lease(metadata=ObjectMeta(name=self._node, namespace=NAMESPACE), spec=spec))
        self._engine.call_later(int(self._random.random() * self._interval_ns()), self._renew)

    def stop(self) -> None:
        """The kubelet is gone."""
        self._stopped = True

    def _interval_ns(self) -> int:
        jitter = 1 + self._random.random() * self._times.lease_renew_jitter
        return int(self._times.lease_duration_ns * self._times.lease_renew_fraction * jitter)

    def _renew(self) -> None:
        if self._stopped:
            return
        renewed_at = self._engine.now

        def change(lease: Lease) -> Lease:
            return evolve(lease, spec__renewTime=renewed_at)

        api = self._client.api
        self._client.submit(lambda: api.patch(Lease, NAMESPACE, self._node, change))
        self._engine.call_later(self._interval_ns(), self._renew)
