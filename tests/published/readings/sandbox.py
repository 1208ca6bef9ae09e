"""V01, second row: the pod's pause process is killed; the server ignores SIGTERM, as VLC did.

On fakes (`clusterlab`): what counts is the kubelet, no packet.
"""

from clusterlab import container, deployment, make_world, service

from netsim.cluster.timing import Timing
from netsim.engine import S

REPLICATIONS = 12


def _once(seed: int) -> tuple[float, float]:
    world = make_world(2, seed, Timing.for_version("1.9"))
    world.runtime.prepare = lambda app: setattr(app, "term_takes_ns", None)
    world.boot([deployment(replicas=1, pod={"containers": (container(),)}), service()])
    world.run(seed * S // REPLICATIONS)
    now = world.engine.now
    world.plane.kill_sandbox(world.pods()[0])
    world.run(60 * S)
    (noticed,) = world.recorded.of("SandboxChanged", now)
    again = world.recorded.of("ContainerStarted", now)[0]
    return (noticed.at_ns - now) / S, (again.at_ns - now) / S


def sandbox_killed() -> tuple[float, float]:
    """Mean seconds until the kubelet notices, and until the container runs in a new sandbox."""
    runs = [_once(seed) for seed in range(1, REPLICATIONS + 1)]
    return sum(noticed for noticed, _ in runs) / len(runs), sum(again for _, again in runs) / len(runs)
