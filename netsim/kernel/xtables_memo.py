"""What a namespace's rules have said about packets of a kind: the memory of `RuleEngine.evaluate` (iptables, nftables).

For given source, destination, port, protocol, conntrack state, mark and devices the walk through the rules always
takes the same way, except where a rule draws lots. So the walk is remembered as a small tree: a `Fork` for each
`statistic` match, a `Spread` for each `numgen`, a `Leaf` for each end. The next packet of the kind draws random numbers
in the same order and follows the tree; verdict, mark and rules visited are those of a full walk (a property test holds
them together). A walk that asks for anything else (`x.pure` set false by the match) is not remembered.

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

    def child(self, answer: int) -> "Node | None":
        """Where an answer leads."""
        return self.yes if answer else self.no

    def put(self, answer: int, node: "Node") -> None:
        """Somebody has been there."""
        if answer:
            self.yes = node
        else:
            self.no = node

    @property
    def children(self) -> "tuple[Node | None, ...]":
        """Where all answers lead."""
        return self.yes, self.no


class Spread:
    """A draw of one among `modulus`: 32 random bits times the modulus, the upper half of the product counts
    (reciprocal_scale in net/netfilter/nft_numgen.c)."""

    __slots__ = ("modulus", "ways")

    def __init__(self, modulus: int) -> None:
        self.modulus = modulus
        self.ways: list[Node | None] = [None] * modulus

    def child(self, answer: int) -> "Node | None":
        """Where an answer leads."""
        return self.ways[answer]

    def put(self, answer: int, node: "Node") -> None:
        """Somebody has been there."""
        self.ways[answer] = node

    @property
    def children(self) -> "tuple[Node | None, ...]":
        """Where all answers lead."""
        return tuple(self.ways)


Branch = Fork | Spread
Node = Leaf | Fork | Spread
Draw = tuple[type[Fork] | type[Spread], int, int]  # kind, threshold or modulus, answer


class Memo:
    """The trees of one namespace, by kind of packet."""

    __slots__ = ("_leaves", "generation", "roots")

    def __init__(self) -> None:
        self.roots: dict[Key, Node] = {}
        self.generation = 0
        self._leaves: list[Leaf] = []

    def insert(self, key: Key, draws: Sequence[Draw], leaf: Leaf) -> None:
        """Remember a walk: the draws it met with their answers, and its end."""
        if len(self.roots) >= _LIMIT:
            self.forget()
        self._leaves.append(leaf)
        if not draws:
            self.roots[key] = leaf
            return
        node = self.roots.get(key)
        if node is None:
            node = self.roots[key] = draws[0][0](draws[0][1])
        for (_, _, answer), (kind, number, _) in pairwise(draws):
            child = node.child(answer)  # type: ignore[union-attr]  # the end of a walk is never on another's way
            if child is None:
                child = kind(number)
                node.put(answer, child)  # type: ignore[union-attr]  # as above
            node = child
        assert not isinstance(node, Leaf)
        node.put(draws[-1][2], leaf)

    def forget(self) -> None:
        """Settle, and remember nothing."""
        self.settle()
        self.roots.clear()
        self._leaves.clear()

    def settle(self) -> None:
        """Bring the rules' counters up to date."""
        for leaf in self._leaves:
            leaf.settle()
