"""`kubectl exec` and `kubectl logs`.

Called by: `command`. Source: k8s.io/kubectl/pkg/cmd/exec. What a command writes is shown as it comes.
"""

from typing import TYPE_CHECKING, Final

from netsim.cluster.objects import Pod
from netsim.engine import MS, S
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.context import Context, Interrupted, KubectlError
from netsim.experiment.kubectl.output import fetch, parse_selector
from netsim.experiment.kubectl.resources import targets

if TYPE_CHECKING:
    from netsim.workload.commands.shell import Execution

FLAGS: Final = (
    Flag("container", "c", help="which container"),
    boolean("stdin", "i"),
    boolean("tty", "t"),
    boolean("quiet", "q"),
)
LOGS_FLAGS: Final = (
    Flag("container", "c"),
    boolean("follow", "f"),
    boolean("previous", "p"),
    Flag("tail"),
    Flag("since"),
    Flag("selector", "l"),
    boolean("timestamps"),
    boolean("all-containers"),
    boolean("prefix"),
)
_LIMIT_NS: Final = 600 * S
_STEP_NS: Final = MS
_SHELLS: Final = ("sh", "bash", "ash", "/bin/sh", "/bin/bash", "/bin/ash")


def pod_of(context: Context, given: Given, word: str) -> Pod:
    """`NAME`, `pod/NAME`, `deploy/NAME`, `svc/NAME`: one pod (AttachablePodForObject). Raises KubectlError."""
    namespace = given.get("namespace", context.namespace)
    target = targets([word if "/" in word else f"pod/{word}"], context.api)[0]
    item = fetch(context, target.resource, namespace, target.name)[0]
    if isinstance(item, Pod):
        return item
    spec = getattr(item, "spec", None)
    selector = getattr(spec, "selector", None)
    if selector is None:
        raise KubectlError(f"error: cannot attach to *{item.kind}: selector for {item.kind} not implemented")
    labels = (
        parse_selector(",".join(f"{k}={v}" for k, v in selector.items()))
        if isinstance(selector, dict)
        else selector
    )
    pods = [pod for pod in context.api.list(Pod, namespace) if labels.matches(pod.metadata.labels)]
    ready = sorted(pods, key=lambda pod: (not pod.status.is_ready, pod.metadata.creationTimestamp or 0))
    if not ready:
        raise KubectlError(
            f"error: timed out waiting for the condition on {target.resource.plural}/{target.name}"
        )
    return ready[0]


def exec_verb(context: Context, given: Given) -> int:
    """kubectl exec POD -- COMMAND"""
    if not given.args:
        raise KubectlError("error: pod, type/name or --filename must be specified")
    words = given.rest if given.dashed else given.args[1:]
    if given.dashed and len(given.args) > 1:
        raise KubectlError(
            "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"
        )
    if not given.dashed and words:
        raise KubectlError(
            "error: exec [POD] [COMMAND] is not supported anymore. Use exec [POD] -- [COMMAND] instead"
        )
    if not words:
        raise KubectlError("error: you must specify at least one command for the container")
    pod = pod_of(context, given, given.args[0])
    _check_running(context, pod, given.get("container"))
    if len(words) == 1 and words[0] in _SHELLS:
        raise KubectlError(
            f"error: an interactive {words[0]} is not simulated: name the command, as in "
            f"`kubectl exec {pod.metadata.name} -- {words[0]} -c 'nslookup kubernetes'`"
        )
    return run_in(context, "/".join(pod.key), words)


def _check_running(context: Context, pod: Pod, container: str) -> None:
    name = pod.metadata.name
    names = [spec.name for spec in pod.spec.containers]
    if container and container not in names:
        raise KubectlError(f"error: container {container} not found in pod {name}_{pod.metadata.namespace}")
    if pod.status.phase in ("Succeeded", "Failed"):
        raise KubectlError(
            f"error: cannot exec into a container in a completed pod; current phase is {pod.status.phase}"
        )
    if "/".join(pod.key) not in context.cluster.containers.hosts:
        raise KubectlError(
            f'error: unable to upgrade connection: container not found ("{container or names[0]}")'
        )


def run_in(context: Context, where: str, words: list[str] | str) -> int:
    """Run a command on a host, show what it writes as time passes, and return its exit code."""
    from netsim.experiment.exec import machine
    from netsim.workload.commands.call import INTERRUPTED
    from netsim.workload.commands.shell import run

    host = context.cluster.host(
        f"pod/{where}" if "/" in where and not where.startswith(("node/", "external/")) else where
    )
    execution = run(machine(context.cluster, host), words)
    shown = _Shown(context, execution)
    try:
        context.wait(shown.look, _LIMIT_NS, _STEP_NS)
    except Interrupted:
        execution.interrupt()
        shown.look()
        raise
    execution.interrupt()
    shown.look()
    code = INTERRUPTED if execution.code is None else execution.code
    if code:
        context.err(f"command terminated with exit code {code}\n")
    return code


class _Shown:
    """What of an execution's output has been shown."""

    def __init__(self, context: Context, execution: "Execution") -> None:
        self._context = context
        self._execution = execution
        self._out = 0
        self._err = 0

    def look(self) -> bool:
        """Show what is new; whether it has ended."""
        out, err = self._execution.stdout, self._execution.stderr
        if len(out) > self._out:
            self._context.out(out[self._out :])
            self._out = len(out)
        if len(err) > self._err:
            self._context.err(err[self._err :])
            self._err = len(err)
        return self._execution.done


def logs(context: Context, given: Given) -> int:
    """kubectl logs"""
    if not given.args and not given.get("selector"):
        raise KubectlError(
            "error: expected 'logs [-f] [-p] (POD | TYPE/NAME) [-c CONTAINER]'.\n"
            "POD or TYPE/NAME is a required argument for the logs command"
        )
    name = pod_of(context, given, given.args[0]).metadata.name if given.args else given.get("selector")
    raise KubectlError(
        f"error: what the processes of {name} log is not simulated: see `kubectl get events`, "
        "`kubectl describe pod`, or `tcpdump` for what they do"
    )
