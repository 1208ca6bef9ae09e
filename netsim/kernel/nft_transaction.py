"""What `nft -f` is given, as values: commands on one table that stand together at one stroke, or not at all.

Made by dataplanes and tests, carried out by `Nftables.commit`. `lines()` is the text that the tool would read. A
`Write` is what kube-proxy does to a chain: add it, flush it, add its rules. Source: nft(8); the commands of
sigs.k8s.io/knftables.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from netsim.kernel.nft_key import value_text
from netsim.kernel.nft_priority import priority_text
from netsim.kernel.nft_table import Chain, Element, SetSpec, TableId


@dataclass(frozen=True, slots=True)
class Write:
    """Add a chain if it is not there, empty it, add its rules."""

    chain: Chain

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it, without the rules."""
        chain = self.chain
        what = []
        if chain.base is not None:
            base = chain.base
            priority = priority_text(base.hook, base.priority, plain=True)
            what.append(f"type {base.type} hook {base.hook.name.lower()} priority {priority} ;")
            if base.policy == "DROP":
                what.append("policy drop ;")
        what += [f'comment "{chain.comment}" ;'] if chain.comment else []
        yield f"add chain {table} {chain.name}" + (f" {{ {' '.join(what)} }}" if what else "")
        yield f"flush chain {table} {chain.name}"

    def rules(self, table: TableId) -> Iterator[str]:
        """The rules as the tool reads them."""
        chain = self.chain
        for rule in chain.rules:
            yield f"add rule {table} {chain.name} {rule}"


@dataclass(frozen=True, slots=True)
class FlushChain:
    """Empty a chain."""

    name: str

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        yield f"flush chain {table} {self.name}"


@dataclass(frozen=True, slots=True)
class DeleteChain:
    """Remove a chain, rules and all."""

    name: str

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        yield f"delete chain {table} {self.name}"


@dataclass(frozen=True, slots=True)
class AddSet:
    """Add a set or map if it is not there; what it holds stays."""

    spec: SetSpec

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        spec = self.spec
        what = f"type {spec.key.type}{' : verdict' if spec.is_map else ''} ;"
        what += f" flags dynamic,timeout ; timeout {spec.timeout_s}s ;" if spec.dynamic else ""
        what += f' comment "{spec.comment}" ;' if spec.comment else ""
        yield f"add {'map' if spec.is_map else 'set'} {table} {spec.name} {{ {what} }}"


@dataclass(frozen=True, slots=True)
class FlushSet:
    """Empty a set or map."""

    name: str
    is_map: bool = False

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        yield f"flush {'map' if self.is_map else 'set'} {table} {self.name}"


@dataclass(frozen=True, slots=True)
class DeleteSet:
    """Remove a set."""

    name: str

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        yield f"delete set {table} {self.name}"


@dataclass(frozen=True, slots=True)
class AddElement:
    """Put an element into a set or map."""

    element: Element

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        yield f"add element {table} {self.element.set} {{ {element_text(self.element)} }}"


@dataclass(frozen=True, slots=True)
class DeleteElement:
    """Take an element out."""

    element: Element

    def lines(self, table: TableId) -> Iterator[str]:
        """As the tool reads it."""
        yield f"delete element {table} {self.element.set} {{ {value_text(self.element.key)} }}"


Command = Write | FlushChain | DeleteChain | AddSet | FlushSet | DeleteSet | AddElement | DeleteElement


@dataclass(frozen=True, slots=True)
class Transaction:
    """Commands on a table, which is added first if it is not there."""

    table: TableId
    commands: tuple[Command, ...]
    comment: str = ""  # of the table

    def lines(self) -> Iterator[str]:
        """What the tool is given: chains and sets are declared before rules and elements that lead to them, and what
        goes, goes last."""
        comment = f' {{ comment "{self.comment}" ; }}' if self.comment else ""
        yield f"add table {self.table}{comment}"
        for command in self.commands:
            if not isinstance(command, AddElement | DeleteElement | FlushChain | DeleteSet):
                yield from command.lines(self.table)
        for command in self.commands:
            if isinstance(command, Write):
                yield from command.rules(self.table)
            elif isinstance(command, AddElement | DeleteElement):
                yield from command.lines(self.table)
        for command in self.commands:
            if isinstance(command, FlushChain | DeleteSet):
                yield from command.lines(self.table)

    def text(self) -> str:
        """All of it."""
        return "".join(f"{line}\n" for line in self.lines())


def element_text(element: Element) -> str:
    """`10.0.0.1 . tcp . 80 comment "ns/svc" : drop`."""
    text = value_text(element.key)
    if element.comment:
        text += f' comment "{element.comment}"'
    return text if element.verdict is None else f"{text} : {element.verdict}"
