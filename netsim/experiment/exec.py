"""Commands in a pod: the machine that they find there, and time passing until they have ended.

Called by `Cluster.exec` and `netsim exec`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from netsim.cluster.objects import Pod
from netsim.engine import MS
from netsim.workload.commands.call import INTERRUPTED, Machine
from netsim.workload.commands.shell import run

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.fabric.host import Host

_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_NAMESPACE_FILE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


@dataclass(frozen=True, slots=True)
class CommandResult:
    """What a command has written, its exit code, and how much simulated time it took."""

    stdout: str
    stderr: str
    code: int
    took_ns: int

    def __str__(self) -> str:
        return self.stdout + self.stderr

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def execute(cluster: "Cluster", where: str, command: str | Sequence[str], limit_ns: int) -> CommandResult:
    """Run it. Raises LookupError for an unknown host."""
    host = cluster.host(where)
    started_ns = cluster.engine.now
    line = command if isinstance(command, str) else list(command)
    execution = run(machine(cluster, host), line)
    while not execution.done and cluster.engine.now < started_ns + limit_ns:
        cluster.engine.run(min(cluster.engine.now + MS, started_ns + limit_ns))
    execution.interrupt()
    code = INTERRUPTED if execution.code is None else execution.code
    return CommandResult(execution.stdout, execution.stderr, code, cluster.engine.now - started_ns)


def machine(cluster: "Cluster", host: "Host") -> Machine:
    """The host as commands see it: the image and environment of a pod's first container, and its files."""
    namespace, _, name = host.name.partition("/")
    pod = cluster.api.get(Pod, namespace, name) if name else None
    first = {"PATH": _PATH, "HOSTNAME": host.hostname}
    if pod is None:
        return Machine(host, cluster.resolver_of(host), env={**first, **host.env, "HOME": "/root"})
    container = pod.spec.containers[0]
    env = {**first, **host.env, "HOME": "/root"}
    return Machine(host, cluster.resolver_of(host), container.image, env, {_NAMESPACE_FILE: namespace})
