"""`kubectl get`: tables, documents, and `-w`.

Called by: `command`. Source: k8s.io/kubectl/pkg/cmd/get. A watch ends after `--request-timeout` (30 s of simulated time
unless given) or with Ctrl-C.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.objects import ApiObject
from netsim.experiment.kubectl.arguments import Flag, Given, boolean
from netsim.experiment.kubectl.columns import PLAIN, Layout, rows
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.kubectl.document import document
from netsim.experiment.kubectl.jsonpath import select
from netsim.experiment.kubectl.output import (
    COLUMNS,
    fetch,
    field_selected,
    machine_text,
    names_text,
    parse_selector,
    table_text,
    view_of,
)
from netsim.experiment.kubectl.resources import Resource, Target, targets
from netsim.experiment.kubectl.tabwriter import TABLE

if TYPE_CHECKING:
    from netsim.cluster.watch import Frame

FLAGS: Final = (
    Flag("output", "o", help="wide, yaml, json, name, jsonpath=..., custom-columns=..."),
    boolean("all-namespaces", "A", "all namespaces"),
    Flag("selector", "l", help="labels, as app=web,tier!=db"),
    Flag("field-selector", help="fields, as spec.nodeName=worker-1"),
    boolean("watch", "w", "show changes as they come"),
    boolean("watch-only", help="changes only"),
    boolean("no-headers", help="no headings"),
    boolean("show-labels", help="a column with all labels"),
    Flag("label-columns", "L", help="a column for a label"),
    Flag("sort-by", help="a JSONPath to sort by"),
    boolean("ignore-not-found", help="say nothing when it is not there"),
    boolean("show-managed-fields"),
)
_WATCH: Final = "30s"
_DEPRECATED: Final = "Warning: v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice\n"

Found = list[tuple[Resource, list[ApiObject]]]


def get(context: Context, given: Given) -> int:
    """kubectl get"""
    if not given.args:
        raise KubectlError(
            "error: You must specify the type of resource to get. "
            'Use "kubectl api-resources" for a complete list of supported resources.'
        )
    wanted = targets(given.args, context.api)
    namespace = None if given.is_set("all-namespaces") else given.get("namespace", context.namespace)
    named = any(target.name for target in wanted)
    if named and namespace is None:
        raise KubectlError("error: a resource cannot be retrieved by name across all namespaces")
    if any(target.resource.kind == "Endpoints" for target in wanted) and context.cluster.spec.minor >= 33:
        context.err(_DEPRECATED)
    found, problems = _collect(context, given, wanted, namespace)
    code = _show(context, given, found, namespace, single=named and len(wanted) == 1) if found else 0
    for problem in problems:
        context.err(f"{problem}\n")
    if given.is_set("watch") or given.is_set("watch-only"):
        _watch(context, given, found, wanted)
    return 1 if problems else code


def _collect(
    context: Context, given: Given, wanted: Sequence[Target], namespace: str | None
) -> tuple[Found, list[str]]:
    """The objects by resource, in the order of the command line, and what was not found."""
    found: dict[Resource, list[ApiObject]] = {}
    problems: list[str] = []
    for target in wanted:
        place = found.setdefault(target.resource, [])
        try:
            place += fetch(context, target.resource, namespace, target.name)
        except KubectlError as error:
            if not given.is_set("ignore-not-found"):
                problems.append(str(error))
    kept = [(resource, _sorted(given, _selected(given, items))) for resource, items in found.items()]
    named = any(target.name for target in wanted)
    return [entry for entry in kept if entry[1] or not named], problems


def _selected(given: Given, items: list[ApiObject]) -> list[ApiObject]:
    labels = parse_selector(given.get("selector"))
    fields = given.get("field-selector")
    return [
        item
        for item in items
        if labels.matches(item.metadata.labels) and (not fields or field_selected(item, fields))
    ]


def _sorted(given: Given, items: list[ApiObject]) -> list[ApiObject]:
    path = given.get("sort-by").strip("{}")
    if not path:
        return items

    def key(item: ApiObject) -> tuple[int, Any]:
        values = select(document(item), path)
        return (0, "") if not values else (1, values[0])

    try:
        return sorted(items, key=key)
    except TypeError:
        raise KubectlError(f"error: couldn't sort by {path}: values of several kinds") from None


def _show(context: Context, given: Given, found: Found, namespace: str | None, *, single: bool) -> int:
    form = given.get("output")
    every = [item for _, items in found for item in items]
    text = machine_text(form, every, single)
    if text is not None:
        context.out(text)
        return 0
    if form == "name":
        context.out(names_text([(resource, item) for resource, items in found for item in items]))
        return 0
    if not every:
        if not given.is_set("ignore-not-found") and not given.is_set("watch-only"):
            where = f" in {namespace} namespace." if namespace and found[0][0].namespaced else ""
            context.err(f"No resources found{where}\n")
        return 0
    if given.is_set("watch-only"):
        return 0
    shown = [entry for entry in found if entry[1]]
    texts = [
        table_text(context, resource, items, _layout(given, resource, len(found) > 1))
        for resource, items in shown
    ]
    context.out("\n".join(texts))
    return 0


def _layout(given: Given, resource: Resource, several: bool) -> Layout:
    columns = tuple(name for text in given.all("label-columns") for name in text.split(","))
    return Layout(
        wide=given.get("output") == "wide",
        headers=not given.is_set("no-headers"),
        namespaces=given.is_set("all-namespaces") and resource.namespaced,
        labels=given.is_set("show-labels"),
        label_columns=columns,
        prefix=resource.named("") if several else "",
    )


# ---------------------------------------------------------------------- watching
def _watch(context: Context, given: Given, found: Found, wanted: Sequence[Target]) -> None:
    """Print a line for each change, as the watch delivers it."""
    resources = list(dict.fromkeys(target.resource for target in wanted))
    if len(resources) > 1:
        raise KubectlError("error: you may only specify a single resource type")
    resource = resources[0]
    names = {target.name for target in wanted} - {""}
    namespace = None if given.is_set("all-namespaces") else given.get("namespace", context.namespace)
    layout = _layout(given, resource, several=False)
    lines = _Lines(context, resource, layout, [item for _, items in found for item in items])

    def deliver(frame: "Frame") -> None:
        for event in frame:
            item: ApiObject = event.object
            if namespace not in (None, item.metadata.namespace) and resource.namespaced:
                continue
            if (not names or item.metadata.name in names) and _selected(given, [item]):
                lines.print(item)

    limit_ns = seconds(given.get("request-timeout", _WATCH), "request-timeout")
    watch = context.api.watch_frames(resource.kind, deliver, "kubectl")
    try:
        context.advance(limit_ns)
    finally:
        watch.stop()


class _Lines:
    """Rows one after the other, in columns at least as wide as before (tabwriter's RememberWidths)."""

    def __init__(
        self, context: Context, resource: Resource, layout: Layout, before: Sequence[ApiObject]
    ) -> None:
        self._context = context
        self._columns = COLUMNS.get(resource.kind, PLAIN)
        self._layout = layout
        self._widths: list[int] = []
        self._headed = not layout.headers or bool(before)
        for row in rows(before, self._columns, view_of(context, layout.wide), layout) if before else ():
            self._fit(row)

    def _fit(self, row: tuple[str, ...]) -> None:
        self._widths += [TABLE.least] * (len(row) - len(self._widths))
        self._widths = [max(len(cell) + TABLE.padding, w) for cell, w in zip(row, self._widths, strict=True)]

    def print(self, item: ApiObject) -> None:
        """One row (and the headings before the first)."""
        made = rows([item], self._columns, view_of(self._context, self._layout.wide), self._layout)
        for row in made[1:] if self._headed and self._layout.headers else made:
            self._fit(row)
            cells = [cell.ljust(width) for cell, width in zip(row[:-1], self._widths, strict=False)]
            self._context.out("".join(cells) + row[-1] + "\n")
        self._headed = True
