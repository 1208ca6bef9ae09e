"""What may come next on a line: verbs, kinds, names, flags, namespaces, nodes.

Called by: `netsim shell` (prompt_toolkit) and tests. Pure: from the text before the cursor to candidates.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

from netsim.cluster.objects import Namespace, Node
from netsim.experiment.kubectl.arguments import COMMON, Flag
from netsim.experiment.kubectl.command import VERBS
from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.kubectl.output import fetch
from netsim.experiment.kubectl.resources import RESOURCES, Resource, lookup
from netsim.experiment.terminal.faults import ACTIONS, FIELDS
from netsim.experiment.terminal.session import Session, names

_FORMS: Final = ("wide", "yaml", "json", "name", "jsonpath=", "custom-columns=")
# What the first word after a verb is: a kind that has objects, workloads, pods, nodes.
_KINDS: Final = ("get", "describe", "delete", "label", "annotate", "wait", "explain")
_SLASHED: Final = ("scale", "rollout", "set")
_NODES: Final = ("cordon", "uncordon", "drain")
_TOOL_WORDS: Final = {
    "nft": ("list ruleset",),
    "ipvsadm": ("-Ln", "-Lnc", "--stats"),
    "conntrack": ("-L", "-C", "-p", "-s", "-d", "--dport"),
    "ipset": ("list",),
    "ip": ("addr", "route", "link"),
    "iptables-save": ("-c", "-t"),
    "until": ("pod", "pods", "deployment", "endpoints", "node"),
    "load": ("start", "stop", "from=", "to=http://", "rate="),
}


def complete(session: Session, text: str) -> tuple[str, list[str]]:
    """(the word that is being typed, what it may become) for the text before the cursor."""
    command = re.split(r"[;|]|&&", text)[-1].lstrip()
    words = command.split()
    typed = words.pop() if words and not command[-1:].isspace() else ""
    found = sorted({word for word in _candidates(session, words, typed) if word.startswith(typed)})
    return typed, found


def _candidates(session: Session, words: Sequence[str], typed: str) -> Iterable[str]:
    if not words:
        return names()
    first, rest = words[0], words[1:]
    if first in ("kubectl", "k"):
        return _kubectl(session.context, rest, typed)
    nodes = tuple(session.cluster.fabric.nodes)
    if first == "fault":
        return ACTIONS if not rest else [*(f"{field}=" for field in FIELDS), *_labels(session.context), "for"]
    if first in ("use", "ssh"):
        return nodes if not rest else names()
    if first == "tcpdump":
        return _tcpdump(session, words)
    if first == "help":
        return (*names(), *VERBS)
    if first == "until" and rest:
        return _until(session.context, rest)
    return (*_TOOL_WORDS.get(first, ()), *(nodes if first in _TOOL_WORDS else ()))


def _kubectl(context: Context, words: Sequence[str], typed: str) -> Iterable[str]:
    plain = list(_plain(words))
    if not plain:
        return VERBS
    verb, *args = plain
    known = VERBS.get(verb)
    if known is None:
        return ()
    before = words[-1] if words else ""
    if before in ("-n", "--namespace"):
        return _names_of(context, Namespace)
    if before in ("-o", "--output"):
        return _FORMS
    if typed.startswith("-"):
        return _flags((*known.flags, *COMMON))
    if known.first and not args:
        return known.first
    return _things(context, verb, args, words, typed)


def _things(
    context: Context, verb: str, args: Sequence[str], words: Sequence[str], typed: str
) -> Iterable[str]:
    """What a verb is about: pods, nodes, kinds, names."""
    if verb == "exec":
        return _objects(context, "pods", words) if not args else ("--",)
    if verb in _NODES:
        return _names_of(context, Node)
    if "/" in typed:
        kind = typed.partition("/")[0]
        return [f"{kind}/{name}" for name in _objects(context, kind, words)]
    if verb in _SLASHED or verb == "logs":
        return [
            *(f"{kind}/" for kind in ("deployment", "statefulset", "daemonset", "pod")),
            *_after_kind(context, args, words),
        ]
    if verb in _KINDS and not args:
        return [*_kind_words(), "all"]
    return _after_kind(context, args, words)


def _after_kind(context: Context, args: Sequence[str], words: Sequence[str]) -> Iterable[str]:
    kinds = [arg for arg in args if "/" not in arg]
    return _objects(context, kinds[0], words) if kinds else ()


def _plain(words: Sequence[str]) -> Iterator[str]:
    """The words that are no flags and no values of flags."""
    waiting = list(words)
    valued = ("-n", "--namespace", "-o", "--output", "-l", "--selector", "-f", "--filename", "-c")
    while waiting:
        word = waiting.pop(0)
        if word in valued and waiting:
            waiting.pop(0)
        elif not word.startswith("-"):
            yield word


def _flags(flags: Iterable[Flag]) -> Iterator[str]:
    for flag in flags:
        yield f"--{flag.name}" if flag.implied is not None else f"--{flag.name}="
        if flag.short:
            yield f"-{flag.short}"


def _kind_words() -> Iterator[str]:
    for resource in RESOURCES:
        yield from (resource.plural, *resource.short)


def _objects(context: Context, word: str, words: Sequence[str]) -> list[str]:
    """The names of a kind's objects, in the namespace of `-n` if there is one on the line."""
    try:
        resource: Resource = lookup(word.split(",", maxsplit=1)[0], context.api)
    except KubectlError:
        return []
    namespace = context.namespace
    for flag, value in pairwise(words):
        if flag in ("-n", "--namespace"):
            namespace = value
    return [item.metadata.name for item in fetch(context, resource, namespace)]


def _names_of(context: Context, model: type[Namespace] | type[Node]) -> list[str]:
    return [item.metadata.name for item in context.api.list(model)]


def _labels(context: Context) -> Iterator[str]:
    """`run=my-nginx` of every pod, and the words that select other things."""
    from netsim.cluster.objects import Pod

    for pod in context.api.list(Pod):
        yield from (
            f"{key}={value}" for key, value in pod.metadata.labels.items() if key != "pod-template-hash"
        )
        yield f"pod={pod.metadata.name}"
    yield from (f"node={name}" for name in _names_of(context, Node))


def _tcpdump(session: Session, words: Sequence[str]) -> Iterable[str]:
    if words[-1] == "-i":
        devices = session.cluster.fabric.nodes[session.node].ns.devices
        return ["any", *devices, *(f"pod/{name}" for name in _objects(session.context, "pods", ()))]
    return ("-i", "-n", "-c", "--for", "host", "port", "tcp", "udp", "icmp", "and", "or", "not", "src", "dst")


def _until(context: Context, rest: Sequence[str]) -> Iterable[str]:
    if len(rest) == 1:
        word = "services" if rest[0].startswith("endpoint") else rest[0]
        return [*_objects(context, word, ()), "ready"]
    return ("ready", "notready", "gone", "available", "--timeout")
