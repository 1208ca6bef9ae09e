"""The tables of `kubectl get`: columns by kind, and how they are put on the screen.

Called by: `output`. Source: pkg/printers/internalversion/printers.go, Kubernetes 1.34; one file per family has the
columns. A column with `wide` is shown with `-o wide` only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from netsim.cluster.apiserver import ApiServer
from netsim.cluster.objects import LabelSelector
from netsim.experiment.kubectl.human import age
from netsim.experiment.kubectl.tabwriter import table

NONE: Final = "<none>"


@dataclass(frozen=True, slots=True)
class View:
    """What a cell may need beside the object: `release` is the cluster's Kubernetes (v1.34.0), `kernel` the nodes'."""

    now: int
    api: ApiServer
    release: str = ""
    kernel: str = ""
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading and a function from object and view to text."""

    name: str
    cell: Callable[[Any, View], str]
    wide: bool = False


def name_of(item: Any, _view: View) -> str:
    """NAME"""
    return str(item.metadata.name)


def age_of(item: Any, view: View) -> str:
    """AGE"""
    return age(view.now, item.metadata.creationTimestamp)


NAME: Final = Column("NAME", name_of)
AGE: Final = Column("AGE", age_of)
PLAIN: Final = (NAME, AGE)


def labels_text(labels: Mapping[str, str]) -> str:
    """`app=web,tier=front`, or `<none>` (labels.FormatLabels)."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or NONE


def selector_text(selector: LabelSelector | None) -> str:
    """As metav1.FormatLabelSelector writes a label selector."""
    if selector is None:
        return NONE
    parts = [f"{key}={value}" for key, value in sorted(selector.matchLabels.items())]
    for wanted in selector.matchExpressions:
        values = f"({','.join(sorted(wanted.values))})"
        parts.append(
            {
                "In": f"{wanted.key} in {values}",
                "NotIn": f"{wanted.key} notin {values}",
                "Exists": wanted.key,
                "DoesNotExist": f"!{wanted.key}",
            }[wanted.operator]
        )
    return ",".join(parts) or NONE


def containers_of(item: Any, _view: View) -> str:
    """CONTAINERS"""
    return ",".join(container.name for container in item.spec.template.spec.containers)


def images_of(item: Any, _view: View) -> str:
    """IMAGES"""
    return ",".join(container.image for container in item.spec.template.spec.containers)


def selector_of(item: Any, _view: View) -> str:
    """SELECTOR"""
    return selector_text(item.spec.selector)


CONTAINERS: Final = Column("CONTAINERS", containers_of, wide=True)
IMAGES: Final = Column("IMAGES", images_of, wide=True)
SELECTOR: Final = Column("SELECTOR", selector_of, wide=True)


@dataclass(frozen=True, slots=True)
class Layout:
    """What of a table is shown."""

    wide: bool = False
    headers: bool = True
    namespaces: bool = False
    labels: bool = False
    label_columns: tuple[str, ...] = ()
    prefix: str = ""  # `pod/` before names, when several kinds are listed


def rows(
    items: Sequence[Any], columns: Sequence[Column], view: View, layout: Layout
) -> list[tuple[str, ...]]:
    """Headings and cells."""
    shown = [column for column in columns if layout.wide or not column.wide]
    heads = [column.name for column in shown]
    heads += [key.rpartition("/")[2].upper() for key in layout.label_columns]
    heads += ["LABELS"] if layout.labels else []
    found = [tuple((["NAMESPACE"] if layout.namespaces else []) + heads)] if layout.headers else []
    for item in items:
        cells = [column.cell(item, view) for column in shown]
        if shown[0] is NAME:
            cells[0] = layout.prefix + cells[0]
        cells += [item.metadata.labels.get(key, "") for key in layout.label_columns]
        cells += [labels_text(item.metadata.labels)] if layout.labels else []
        found.append(tuple(([item.metadata.namespace] if layout.namespaces else []) + cells))
    return found


def text(items: Sequence[Any], columns: Sequence[Column], view: View, layout: Layout) -> str:
    """The table as kubectl prints it."""
    return table(rows(items, columns, view, layout))
