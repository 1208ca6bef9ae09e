"""A network partition: two groups of machines that do not hear each other, in both directions or in one.

Called by: `faults.py`. Between nodes the frames are lost in the switch; where pods or hosts outside are meant, on the
cable of either side, by the packets' addresses, as Chaos Mesh's rules in the pods' namespaces are (so a packet to a
ClusterIP passes at the client's end and is lost at the endpoint's, where it has the endpoint's address).

Where one group holds every control-plane node, the nodes of the other are cut off from the API server too; in one
direction as well, since no connection lives on half a path.
"""

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from netsim.wire.addr import ip

if TYPE_CHECKING:
    from netsim.cluster.objects import Pod
    from netsim.fabric.fabric import Cable, Fabric
    from netsim.wire.packet import Packet
    from netsim.workload.faults import TargetSelector

# As the first group sees it: "from" is what it sends, "to" what it gets.
_LOST: Final = {"both": (True, True), "from": (True, False), "to": (False, True)}


class Partition:
    """One partition of a fabric. `own` and `other` are the pods that the selectors mean; `direction` is as the own
    group sees it."""

    def __init__(
        self,
        fabric: "Fabric",
        sides: "tuple[TargetSelector, TargetSelector]",
        pods: "tuple[Sequence[Pod], Sequence[Pod]]",
        direction: str,
    ) -> None:
        self._fabric = fabric
        self._sent, self._got = _LOST[direction]
        self._nodes = [self._named(side) for side in sides]
        self._cut: list[tuple[Cable, int, Callable[[Packet], bool]]] = []
        self._pairs: list[bytes] = []
        self.only_nodes = all(side.kind == "node" for side in sides)
        self._addresses = [
            frozenset(self._all_addresses(side, nodes, members))
            for side, nodes, members in zip(sides, self._nodes, pods, strict=True)
        ]
        self._cables = [
            list(self._ends(side, nodes, members))
            for side, nodes, members in zip(sides, self._nodes, pods, strict=True)
        ]

    def _named(self, side: "TargetSelector") -> list[str]:
        return [name for name in self._fabric.nodes if side.kind == "node" and fnmatchcase(name, side.node)]

    def _all_addresses(
        self, side: "TargetSelector", nodes: Iterable[str], pods: "Sequence[Pod]"
    ) -> Iterable[bytes]:
        for node in nodes:
            yield from self._fabric.nodes[node].addresses
        for name, host in self._fabric.outside.items():
            if side.kind == "external" and fnmatchcase(name, side.external):
                yield from host.addresses
        for pod in pods:
            yield from (ip(entry.ip) for entry in pod.status.podIPs)

    def _ends(self, side: "TargetSelector", nodes: Iterable[str], pods: "Sequence[Pod]") -> "Iterable[Cable]":
        cables = self._fabric.cables
        outside = [
            name
            for name in self._fabric.outside
            if side.kind == "external" and fnmatchcase(name, side.external)
        ]
        own = [] if side.kind == "node" else ["/".join(pod.key) for pod in pods]
        for name in (*nodes, *outside, *own):
            if f"{name}:eth0" in cables:
                yield cables[f"{name}:eth0"]

    def cut_off(self, control_plane: Sequence[str]) -> list[str]:
        """The nodes that do not reach the API server behind this partition."""
        own, other = self._nodes
        for side, rest in ((own, other), (other, own)):
            if control_plane and set(control_plane) <= set(side):
                return [node for node in rest if node not in side]
        return []

    def begin(self) -> None:
        """From now on they do not hear each other."""
        if self.only_nodes:
            self._block_frames()
            return
        own, other = self._addresses
        for cables, here, there, sends, gets in (
            (self._cables[0], own, other, self._sent, self._got),
            (self._cables[1], other, own, self._got, self._sent),
        ):
            for cable in cables:
                self._filter(cable, here, there, sends, gets)

    def _filter(
        self, cable: "Cable", here: frozenset[bytes], there: frozenset[bytes], sends: bool, gets: bool
    ) -> None:
        for index, wanted in ((0, sends), (1, gets)):
            if wanted:
                source, target = (here, there) if index == 0 else (there, here)
                lost = _between(source, target)
                cable.links[index].block(lost)
                self._cut.append((cable, index, lost))

    def _block_frames(self) -> None:
        own, other = (
            [self._fabric.nodes[name].ns.devices["eth0"].mac for name in side] for side in self._nodes
        )
        for one in own:
            for two in other:
                if one != two:
                    self._pairs += [two + one] * self._sent + [one + two] * self._got
        self._fabric.switch.block(self._pairs)

    def end(self) -> None:
        """They do again."""
        self._fabric.switch.unblock(self._pairs)
        for cable, index, lost in self._cut:
            cable.links[index].unblock(lost)
        self._pairs, self._cut = [], []


def _between(source: frozenset[bytes], target: frozenset[bytes]) -> "Callable[[Packet], bool]":
    def lost(packet: "Packet") -> bool:
        return packet.flow.src in source and packet.flow.dst in target

    return lost
