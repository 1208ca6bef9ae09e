"""How a container is killed: preStop hook, SIGTERM, SIGKILL.

Called by: `worker.py`, for deletion and for failed liveness probes. Source: pkg/kubelet/kuberuntime/
kuberuntime_container.go (killContainer, executePreStopHook); timing facts pod.terminationGracePeriodSeconds.

The hook's time counts against the grace period; SIGTERM has at least two seconds even if the hook used them up.
Simplified: an exec hook takes as long as the `sleep N` in its command says, any other no time.
"""

import re
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.kubelet.container import ContainerRun
from netsim.cluster.objects import LifecycleHandler
from netsim.engine import S

if TYPE_CHECKING:
    from netsim.cluster.kubelet.kubelet import Kubelet
    from netsim.cluster.kubelet.worker import PodWorker

_SLEEP: Final = re.compile(r"\bsleep\s+(\d+(?:\.\d+)?)")


def kill_container(
    kubelet: "Kubelet", worker: "PodWorker", container: ContainerRun, grace_ns: int
) -> Generator[Any, Any, None]:
    """A process that ends when the container has ended, at the latest after the grace period (and the minimum)."""
    engine = kubelet.engine
    deadline_ns = engine.now + grace_ns
    hook = container.spec.lifecycle.preStop if container.spec.lifecycle else None
    first = not container.killing
    container.killing = True
    container.kill_cause = container.kill_cause or "deleted"
    instance = container.now.instance
    if hook is not None and first and grace_ns > 0:
        yield from _pre_stop(kubelet, worker, hook, grace_ns)
    if not container.running or container.now.instance != instance or container.app is None:
        return
    remaining_ns = max(deadline_ns - engine.now, kubelet.timing.minimum_grace_ns)
    ended = engine.event()
    container.on_exit.append(lambda: _succeed(ended))
    engine.call_later(remaining_ns, _kill, container, instance, engine)
    if first:
        container.app.terminate(engine.now)
    yield ended
    yield engine.timeout(kubelet.timing.container_reap.sample(engine.stream(f"kubelet/{kubelet.node}/reap")))


def _kill(container: ContainerRun, instance: int, engine: Any) -> None:
    if container.running and container.now.instance == instance and container.app is not None:
        container.app.kill(engine.now)


def _succeed(event: Any) -> None:
    event.succeed()


def _pre_stop(
    kubelet: "Kubelet", worker: "PodWorker", hook: LifecycleHandler, grace_ns: int
) -> Generator[Any, Any, None]:
    if hook.httpGet is not None:
        finished = kubelet.engine.event()
        kubelet.http_hook(worker, hook.httpGet, grace_ns, lambda: _succeed(finished))
        yield finished
        return
    yield kubelet.engine.timeout(min(hook_duration_ns(hook), grace_ns))


def hook_duration_ns(hook: LifecycleHandler) -> int:
    """How long a hook without a connection takes."""
    if hook.sleep is not None:
        return hook.sleep.seconds * S
    if hook.exec is not None:
        found = _SLEEP.search(" ".join(hook.exec.command))
        return int(float(found[1]) * S) if found else 0
    return 0
