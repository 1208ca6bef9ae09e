"""Where hosts, devices and hooks stand in the stepper's drawing: coordinates only, no drawing.

Called by `frames.py`. Nodes stand side by side on the underlay with their pods above; router, load balancers and
machines outside stand at the right. A node shows its devices, its bridge and tunnel if it has them, and the five hooks
in the order of `kernel/hooks.py`. Units are those of an SVG view box.
"""

from dataclasses import dataclass, field
from typing import Final

from netsim.measure.stepper.scene import HostView, Scene

POD_WIDTH: Final = 148
POD_HEIGHT: Final = 58
NODE_WIDTH: Final = 330
NODE_HEIGHT: Final = 216
GAP: Final = 22
MARGIN: Final = 14
POD_ROW: Final = MARGIN
NODE_ROW: Final = POD_ROW + POD_HEIGHT + 44
SMALL_WIDTH: Final = 150
SMALL_HEIGHT: Final = 62

# Inside a node, from its top left corner (shares of the width, then units).
_HOOKS_AT: Final = {
    "PREROUTING": (0.19, 92),
    "FORWARD": (0.5, 92),
    "POSTROUTING": (0.81, 92),
    "INPUT": (0.32, 130),
    "OUTPUT": (0.68, 130),
    "": (0.5, 168),
}

Point = tuple[int, int]


@dataclass(slots=True)
class Box:
    """A host in the drawing. `places` are the points a packet can be at: devices and hooks by name, "" for processes."""

    view: HostView
    x: int
    y: int
    width: int
    height: int
    places: dict[str, Point] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Layout:
    """All boxes and the height of the underlay."""

    boxes: tuple[Box, ...]
    width: int
    height: int
    underlay_y: int


def layout(scene: Scene) -> Layout:
    """Place everything."""
    boxes: list[Box] = []
    x = MARGIN
    underlay_y = NODE_ROW + NODE_HEIGHT + 34
    nodes = sorted((host for host in scene.hosts if host.kind == "node"), key=lambda host: host.name)
    for node in nodes:
        pods = sorted((h for h in scene.hosts if h.parent == node.name), key=lambda host: host.name)
        width = max(NODE_WIDTH, len(pods) * (POD_WIDTH + GAP) + GAP)
        boxes.append(_node(node, x, width, pods))
        step = width / max(1, len(pods))
        for number, pod in enumerate(pods):
            middle = round(x + step * (number + 0.5))
            boxes.append(_pod(pod, middle))
        x += width + GAP
    others = [host for host in scene.hosts if host.kind in ("router", "balancer")]
    for host in sorted(others, key=lambda host: (host.kind != "balancer", host.name)):
        boxes.append(_small(host, x, NODE_ROW + NODE_HEIGHT - SMALL_HEIGHT))
        x += SMALL_WIDTH + GAP
    outside = _outside(scene, x)
    boxes += outside
    right = max((box.x + box.width for box in boxes), default=NODE_WIDTH) + MARGIN
    return Layout(tuple(boxes), right, underlay_y + 34, underlay_y)


def _node(node: HostView, x: int, width: int, pods: list[HostView]) -> Box:
    box = Box(node, x, NODE_ROW, width, NODE_HEIGHT)
    for name, (share, y) in _HOOKS_AT.items():
        box.places[name] = (round(x + share * width), NODE_ROW + y)
    step = width / max(1, len(pods))
    at = {pod.name: round(x + step * (number + 0.5)) for number, pod in enumerate(pods)}
    for device in node.devices:
        if device.kind == "veth" and device.peer in at:
            box.places[device.name] = (at[device.peer], NODE_ROW)
        elif device.kind == "bridge":
            box.places[device.name] = (round(x + 0.5 * width), NODE_ROW + 42)
        elif device.kind == "vxlan":
            box.places[device.name] = (round(x + 0.81 * width), NODE_ROW + 168)
        elif device.kind == "uplink":
            box.places[device.name] = (round(x + 0.5 * width), NODE_ROW + NODE_HEIGHT)
    return box


def _pod(pod: HostView, middle: int) -> Box:
    box = Box(pod, middle - POD_WIDTH // 2, POD_ROW, POD_WIDTH, POD_HEIGHT)
    box.places[""] = (middle, POD_ROW + 24)
    box.places["eth0"] = (middle, POD_ROW + POD_HEIGHT)
    return box


def _small(host: HostView, x: int, y: int) -> Box:
    """Router, balancer or a machine outside: its hooks are one place. Its uplink is below, others are above."""
    box = Box(host, x, y, SMALL_WIDTH, SMALL_HEIGHT)
    middle = x + SMALL_WIDTH // 2
    box.places[""] = (middle, y + 26)
    for device in host.devices:
        below = device.kind == "uplink" or host.kind == "external" and device.name == "eth0"
        box.places[device.name] = (middle, y + SMALL_HEIGHT if below else y)
    return box


def _outside(scene: Scene, x: int) -> list[Box]:
    """Machines beyond the router stand above it, to the right of the nodes; those behind one of them still higher."""
    parents = {host.name: host.parent for host in scene.hosts}
    external = sorted((host for host in scene.hosts if host.kind == "external"), key=lambda host: host.name)
    near = [host for host in external if parents.get(host.parent, "") == ""]
    far = [host for host in external if host not in near]
    left = x - SMALL_WIDTH - GAP  # above the router
    boxes = [_small(host, left + n * (SMALL_WIDTH + GAP), NODE_ROW + 26) for n, host in enumerate(near)]
    at = {box.view.name: box.x for box in boxes}
    for host in far:
        taken = at.get(host.parent, left)
        boxes.append(_small(host, taken, POD_ROW))
        at[host.parent] = taken + SMALL_WIDTH + GAP
    return boxes
