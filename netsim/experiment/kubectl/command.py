"""kubectl's verbs: the table of them, help, and the way in.

    code = run(context, ["get", "pods", "-o", "wide"])

Called by: `Cluster.kubectl` and the terminal. Never raises for what a user may type: messages go to `context.err`, and
the exit code is kubectl's.
"""

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from netsim.cluster.errors import ApiError, InvalidError
from netsim.experiment.kubectl import (
    describe,
    verbs_apply,
    verbs_change,
    verbs_exec,
    verbs_get,
    verbs_info,
    verbs_node,
    verbs_rollout,
    verbs_wait,
)
from netsim.experiment.kubectl.arguments import COMMON, Flag, Given, parse
from netsim.experiment.kubectl.context import Context, KubectlError


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: what it does, its flags, a line of help, and what its first words may be (for completion)."""

    act: Callable[[Context, Given], int]
    flags: tuple[Flag, ...]
    help: str
    first: tuple[str, ...] = ()


VERBS: Final[Mapping[str, Verb]] = {
    "annotate": Verb(
        verbs_change.annotate, verbs_change.LABEL_FLAGS, "set or remove annotations (KEY=VALUE, KEY-)"
    ),
    "api-resources": Verb(verbs_info.api_resources, (), "the kinds and their short names"),
    "apply": Verb(
        verbs_apply.apply, verbs_apply.APPLY_FLAGS, "create or change what a manifest says (-f FILE)"
    ),
    "cluster-info": Verb(verbs_info.cluster_info, (), "where the API server is"),
    "config": Verb(
        verbs_info.config,
        verbs_info.FLAGS,
        "set-context --current --namespace NAME",
        ("current-context", "set-context"),
    ),
    "cordon": Verb(verbs_node.cordon_verb, verbs_node.CORDON_FLAGS, "no new pods on a node"),
    "create": Verb(
        verbs_apply.create, verbs_apply.APPLY_FLAGS, "create what a manifest says (-f FILE)", ("namespace",)
    ),
    "delete": Verb(
        verbs_apply.delete, verbs_apply.DELETE_FLAGS, "delete objects, and wait until they are gone"
    ),
    "describe": Verb(describe.describe, describe.FLAGS, "everything about objects, with their events"),
    "drain": Verb(verbs_node.drain, verbs_node.DRAIN_FLAGS, "cordon a node and evict its pods"),
    "exec": Verb(verbs_exec.exec_verb, verbs_exec.FLAGS, "run a command in a pod: exec POD -- COMMAND"),
    "explain": Verb(verbs_info.explain, (), "the fields of a kind"),
    "get": Verb(verbs_get.get, verbs_get.FLAGS, "list objects (-o wide|yaml|json|name|jsonpath=..., -w)"),
    "label": Verb(verbs_change.label, verbs_change.LABEL_FLAGS, "set or remove labels (KEY=VALUE, KEY-)"),
    "logs": Verb(verbs_exec.logs, verbs_exec.LOGS_FLAGS, "not simulated"),
    "rollout": Verb(
        verbs_rollout.rollout,
        verbs_rollout.FLAGS,
        "status, restart, undo, history, pause, resume",
        ("history", "pause", "restart", "resume", "status", "undo"),
    ),
    "scale": Verb(verbs_change.scale_verb, verbs_change.SCALE_FLAGS, "change the number of replicas"),
    "set": Verb(
        verbs_change.set_verb, verbs_change.SET_FLAGS, "set image KIND/NAME CONTAINER=IMAGE", ("image",)
    ),
    "uncordon": Verb(verbs_node.uncordon, verbs_node.CORDON_FLAGS, "new pods may come again"),
    "version": Verb(verbs_info.version, verbs_info.FLAGS, "the cluster's Kubernetes"),
    "wait": Verb(verbs_wait.wait, verbs_wait.FLAGS, "until a condition holds (--for=condition=Ready)"),
}
# Verbs of kubectl that are not here, and why.
_ABSENT: Final[Mapping[str, str]] = {
    "attach": "a process's terminal is not simulated: use `kubectl exec POD -- COMMAND`",
    "autoscale": "no metrics are simulated: use `kubectl scale`",
    "edit": "there is no editor here: `kubectl get -o yaml`, change it, `kubectl apply -f`",
    "expose": "write the Service and `kubectl apply -f` it",
    "patch": "use `kubectl apply -f`, `kubectl set image`, `kubectl scale` or `kubectl label`",
    "port-forward": "ask from a pod or from a host outside: `kubectl exec POD -- curl ...`",
    "proxy": "ask from a pod: `kubectl exec POD -- curl ...`",
    "run": "write the Pod and `kubectl apply -f` it",
    "taint": "taints come from the topology (spec.nodes)",
    "top": "CPU and memory are not simulated",
}


def run(context: Context, words: Sequence[str]) -> int:
    """Run one command, given as its words without `kubectl`. Raises Interrupted only."""
    try:
        return _run(context, words)
    except KubectlError as error:
        context.err(f"{error}\n")
        return error.code
    except InvalidError as error:
        context.err(f"The {error}\n")
        return 1
    except (ApiError, LookupError, ValueError) as error:
        context.err(f"Error from server: {error.args[0]}\n")
        return 1


def _run(context: Context, words: Sequence[str]) -> int:
    before: list[str] = []
    waiting = list(words)
    while waiting and waiting[0].startswith("-"):  # `kubectl -n web get pods`
        before.append(waiting.pop(0))
        if before[-1] in ("-n", "--namespace") and waiting:
            before.append(waiting.pop(0))
    name, *rest = waiting or ["help"]
    if name == "help" or before in (["-h"], ["--help"]):
        context.out(help_text(rest[0] if rest else ""))
        return 0
    verb = VERBS.get(name)
    if verb is None:
        raise KubectlError(_unknown(name))
    plain = rest[: rest.index("--")] if "--" in rest else rest
    if "--help" in plain or "-h" in plain:
        context.out(help_text(name))
        return 0
    return verb.act(context, parse([*before, *rest], (*verb.flags, *COMMON), name))


def _unknown(name: str) -> str:
    why = _ABSENT.get(name)
    if why is not None:
        return f"error: kubectl {name} is not simulated: {why}"
    near = difflib.get_close_matches(name, VERBS, 3, 0.6)
    text = f'error: unknown command "{name}" for "kubectl"'
    return text + (
        "\n\nDid you mean this?\n" + "".join(f"\t{word}\n" for word in near) if near else ""
    ).rstrip("\n")


def help_text(name: str) -> str:
    """`kubectl --help`, `kubectl VERB --help`, briefly."""
    verb = VERBS.get(name)
    if verb is None:
        width = max(map(len, VERBS))
        lines = [f"  {word:<{width}}  {entry.help}" for word, entry in VERBS.items()]
        return "kubectl, as far as it is simulated:\n" + "\n".join(lines) + "\n"
    text = f"kubectl {name}: {verb.help}\n"
    if verb.first:
        text += f"  {', '.join(verb.first)}\n"
    for flag in (*verb.flags, *COMMON):
        short = f"-{flag.short}, " if flag.short else "    "
        text += f"  {short}--{flag.name}{'' if flag.implied is not None else '='}".ljust(30)
        text = text.rstrip() + f"  {flag.help}".rstrip() + "\n" if not flag.help else text + f"{flag.help}\n"
    return text
