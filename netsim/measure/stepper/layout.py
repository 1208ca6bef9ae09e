"""Where hosts, devices and hooks stand in the stepper's drawing: coordinates only, no drawing.

Called by `frames.py`. Nodes stand side by side on the underlay with their pods above; router, load balancers and
machines outside stand at the right. A node shows its devices, its bridge and tunnel if it has them, and the five hooks
in the order of `kernel/hooks.py`. Units are those of an SVG view box.
"""

from dataclasses import dataclass, field
from typing import Final

from netsim.measure.stepper.scene import HostView, Scene

POD_WIDTH: Final = 170
POD_HEIGHT: Final = 66
NODE_WIDTH: Final = 282
NODE_HEIGHT: Final = 172
BRIDGE_HEIGHT: Final = 40  # more where there is a bridge
GAP: Final = 18
MARGIN: Final = 24
POD_ROW: Final = MARGIN
NODE_ROW: Final = POD_ROW + POD_HEIGHT + 44
SMALL_WIDTH: Final = 150
SMALL_HEIGHT: Final = 66

# Inside a node, from its top left corner (shares of the width, then units).
_HOOKS_AT: Final = {
    "PREROUTING": (0.17, 48),
    "FORWARD": (0.5, 48),
    "POSTROUTING": (0.83, 48),
    "INPUT": (0.27, 86),
    "OUTPUT": (0.73, 86),
    "": (0.5, 120),
}

Point = tuple[int, int]


@dataclass(slots=True)
class Box:
    """A host in the drawing. `places` are where a packet can be: devices and hooks by name, "" for processes."""

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
    has_bridge = any(device.kind == "bridge" for host in scene.hosts for device in host.devices)
    shift = BRIDGE_HEIGHT if has_bridge else 0
    bottom = NODE_ROW + NODE_HEIGHT + shift
    underlay_y = bottom + 32
    nodes = sorted((host for host in scene.hosts if host.kind == "node"), key=lambda host: host.name)
    for node in nodes:
        pods = sorted((h for h in scene.hosts if h.parent == node.name), key=lambda host: host.name)
        width = max(NODE_WIDTH, len(pods) * (POD_WIDTH + GAP) + GAP)
        boxes.append(_node(node, x, width, pods, shift))
        step = width / max(1, len(pods))
        for number, pod in enumerate(pods):
            middle = round(x + step * (number + 0.5))
            boxes.append(_pod(pod, middle))
        x += width + GAP
    others = [host for host in scene.hosts if host.kind in ("router", "balancer")]
    for host in sorted(others, key=lambda host: (host.kind != "balancer", host.name)):
        boxes.append(_small(host, x, bottom - SMALL_HEIGHT))
        x += SMALL_WIDTH + GAP
    outside = _outside(scene, x)
    boxes += outside
    right = max((box.x + box.width for box in boxes), default=NODE_WIDTH) + MARGIN
    return Layout(tuple(boxes), right, underlay_y + 36, underlay_y)


def _node(node: HostView, x: int, width: int, pods: list[HostView], shift: int) -> Box:
    box = Box(node, x, NODE_ROW, width, NODE_HEIGHT + shift)
    for name, (share, y) in _HOOKS_AT.items():
        box.places[name] = (round(x + share * width), NODE_ROW + y + shift)
    step = width / max(1, len(pods))
    at = {pod.name: round(x + step * (number + 0.5)) for number, pod in enumerate(pods)}
    for device in node.devices:
        if device.kind == "veth" and device.peer in at:
            box.places[device.name] = (at[device.peer], NODE_ROW)
        elif device.kind == "bridge":
            box.places[device.name] = (round(x + 0.5 * width), NODE_ROW + 34)
        elif device.kind == "vxlan":
            box.places[device.name] = (round(x + 0.83 * width), NODE_ROW + 120 + shift)
        elif device.kind == "uplink":
            box.places[device.name] = (round(x + 0.5 * width), NODE_ROW + NODE_HEIGHT + shift)
    return box


def _pod(pod: HostView, middle: int) -> Box:
    box = Box(pod, middle - POD_WIDTH // 2, POD_ROW, POD_WIDTH, POD_HEIGHT)
    box.places[""] = (box.x, POD_ROW + POD_HEIGHT // 2)  # beside the name
    box.places["eth0"] = (middle, POD_ROW + POD_HEIGHT)
    return box


def _small(host: HostView, x: int, y: int) -> Box:
    """Router, balancer or a machine outside: its hooks are one place. Its uplink is below, others are above."""
    box = Box(host, x, y, SMALL_WIDTH, SMALL_HEIGHT)
    middle = x + SMALL_WIDTH // 2
    box.places[""] = (x, y + SMALL_HEIGHT // 2)
    for device in host.devices:
        below = device.kind == "uplink" or (host.kind == "external" and device.name == "eth0")
        box.places[device.name] = (middle, y + SMALL_HEIGHT if below else y)
    return box


def _outside(scene: Scene, x: int) -> list[Box]:
    """Machines beyond the router stand above it, to the right of the nodes; those behind one of them still higher."""
    parents = {host.name: host.parent for host in scene.hosts}
    external = sorted((host for host in scene.hosts if host.kind == "external"), key=lambda host: host.name)
    near = [host for host in external if parents.get(host.parent, "") == ""]
    far = [host for host in external if host not in near]
    left = x - SMALL_WIDTH - GAP  # above the router
    boxes = [_small(host, left + n * (SMALL_WIDTH + GAP), NODE_ROW + 6) for n, host in enumerate(near)]
    at = {box.view.name: box.x for box in boxes}
    for host in far:
        taken = at.get(host.parent, left)
        boxes.append(_small(host, taken, POD_ROW))
        at[host.parent] = taken + SMALL_WIDTH + GAP
    return boxes
