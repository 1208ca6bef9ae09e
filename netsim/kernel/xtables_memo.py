"""What a namespace's rules have said about packets of a kind: the memory of `Xtables.evaluate`.

For given source, destination, port, protocol, conntrack state, mark and devices the walk through the rules always
takes the same way, except where a `statistic` match draws lots. So the walk is remembered as a small tree: a `Fork` for
each draw, a `Leaf` for each end. The next packet of the kind draws random numbers in the same order and follows the
tree; verdict, mark and rules visited are those of a full walk (a property test holds them together). A walk that asks
for anything else (`x.pure` set false by the match) is not remembered.

Rules matched are counted on the leaf and handed to their counters by `settle`. Everything is forgotten when the
namespace's `generation` changes, since then rules or local addresses may have changed.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from netsim.kernel.targets import Target
    from netsim.kernel.xtables_counter import Counter

Key = tuple[object, ...]

# Kinds of packets remembered; beyond that the memory starts afresh.
_LIMIT: Final = 1 << 14


class Leaf:
    """The end of a walk: what became of the packet, and how often it happened since the counters were last settled."""

    __slots__ = ("bytes", "hits", "lasting", "mark", "packets", "verdict", "visited")

    def __init__(
        self, verdict: "Target | None", visited: int, mark: int, hits: "tuple[Counter, ...]"
    ) -> None:
        self.verdict = verdict
        self.visited = visited
        self.mark = mark
        self.hits = hits
        self.lasting = True  # the flow's next packets need not ask again
        self.packets = 0
        self.bytes = 0

    def credit(self, packets: int, size: int) -> None:
        """Count packets that took this way without asking."""
        for counter in self.hits:
            counter.add(packets, size)

    def settle(self) -> None:
        """Hand what was counted here to the rules' counters."""
        if self.packets:
            for counter in self.hits:
                counter.add(self.packets, self.bytes)
            self.packets = self.bytes = 0


class Fork:
    """A draw: on to `yes` if 31 random bits are below the threshold, else to `no`; None where nobody has been yet."""

    __slots__ = ("no", "threshold", "yes")

    def __init__(self, threshold: int) -> None:
        self.threshold = threshold
        self.yes: Node | None = None
        self.no: Node | None = None


Node = Leaf | Fork


class Memo:
    """The trees of one namespace, by kind of packet."""

    __slots__ = ("_leaves", "generation", "roots")

    def __init__(self) -> None:
        self.roots: dict[Key, Node] = {}
        self.generation = 0
        self._leaves: list[Leaf] = []

    def insert(self, key: Key, draws: Sequence[tuple[int, bool]], leaf: Leaf) -> None:
        """Remember a walk: the draws it met with their answers, and its end."""
        if len(self.roots) >= _LIMIT:
            self.forget()
        self._leaves.append(leaf)
        if not draws:
            self.roots[key] = leaf
            return
        node = self.roots.get(key)
        if node is None:
            node = self.roots[key] = Fork(draws[0][0])
        for (_, answer), (threshold, _) in pairwise(draws):
            node = _child(node, answer, threshold)
        assert isinstance(node, Fork)
        if draws[-1][1]:
            node.yes = leaf
        else:
            node.no = leaf

    def forget(self) -> None:
        """Settle, and remember nothing."""
        self.settle()
        self.roots.clear()
        self._leaves.clear()

    def settle(self) -> None:
        """Bring the rules' counters up to date."""
        for leaf in self._leaves:
            leaf.settle()


def _child(node: Node, answer: bool, threshold: int) -> Node:
    """The fork that follows an answer; made if nobody has been there."""
    assert isinstance(node, Fork)
    child = node.yes if answer else node.no
    if child is None:
        child = Fork(threshold)
        if answer:
            node.yes = child
        else:
            node.no = child
    return child
