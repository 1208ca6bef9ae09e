"""Whether an nftables transaction may be carried out: what nf_tables checks before anything changes.

Called by `Nftables.commit`. Everything that is led to, looked up, filled or removed must be there, and what is deleted
must not be in use at the end (EBUSY). Uses are counted by name, a set's as `@name`; `Draft.delta` is how the counts
change. Source: net/netfilter/nf_tables_api.c of Linux 6.8 (`nft_chain_lookup`, `nft_set_lookup`, `chain->use`).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from netsim.kernel import nft_transaction as tx
from netsim.kernel.nft_key import Value, value_text
from netsim.kernel.nft_table import Chain, Element, NamedSet


class NftError(ValueError):
    """A change that nft would refuse; the message says why."""


class Draft:
    """A table as a transaction would leave it, as far as it differs. Raises NftError for what is not there."""

    def __init__(self, chains: Mapping[str, Chain], sets: Mapping[str, NamedSet]) -> None:
        self.delta: dict[str, int] = {}
        self._chains = chains
        self._sets = sets
        self._written: dict[str, Chain | None] = {}
        self._set_there: dict[str, bool] = {}
        self._filled: dict[str, dict[Value, Element | None]] = {}
        self._flushed: set[str] = set()
        self._needed: dict[str, str] = {}
        self._gone: dict[str, None] = {}

    def check(self, commands: Iterable[tx.Command], uses: Mapping[str, int]) -> None:
        """Go through the commands; `uses` are the counts that stand."""
        for command in commands:
            _STEPS[type(command)](self, command)
        for name, where in self._needed.items():
            if not (self._has_set(name[1:]) if name[0] == "@" else self._chain(name) is not None):
                raise NftError(f"{where} leads to {name}: No such file or directory")
        for name in self._gone:
            there = self._has_set(name[1:]) if name[0] == "@" else self._chain(name) is not None
            if not there and uses.get(name, 0) + self.delta.get(name, 0) > 0:
                raise NftError(f"{name} is still used: Device or resource busy")

    # ------------------------------------------------------------------ what is there so far
    def _chain(self, name: str) -> Chain | None:
        return self._written[name] if name in self._written else self._chains.get(name)

    def _has_set(self, name: str) -> bool:
        return self._set_there.get(name, name in self._sets)

    def _element(self, name: str, key: Value) -> Element | None:
        filled = self._filled.get(name, {})
        if key in filled:
            return filled[key]
        found = self._sets.get(name)
        return found.elements.get(key) if found is not None and name not in self._flushed else None

    def _known_chain(self, name: str) -> Chain:
        chain = self._chain(name)
        if chain is None:
            raise NftError(f"chain {name}: No such file or directory")
        return chain

    def _known_set(self, name: str) -> None:
        if not self._has_set(name):
            raise NftError(f"set {name}: No such file or directory")

    def _count(self, names: Iterable[str], by: int) -> None:
        for name in names:
            self.delta[name] = self.delta.get(name, 0) + by

    # ------------------------------------------------------------------ commands
    def write(self, command: tx.Write) -> None:
        """Add a chain and its rules."""
        chain = command.chain
        self._replace(self._chain(chain.name), chain)
        self._written[chain.name] = chain
        for name in chain.uses:
            self._needed[name] = chain.name

    def flush_chain(self, command: tx.FlushChain) -> None:
        """Empty a chain."""
        old = self._known_chain(command.name)
        self._replace(old, None)
        self._written[command.name] = Chain(old.name, (), old.base)

    def delete_chain(self, command: tx.DeleteChain) -> None:
        """Remove a chain."""
        self._replace(self._known_chain(command.name), None)
        self._written[command.name] = None
        self._gone[command.name] = None

    def _replace(self, old: Chain | None, new: Chain | None) -> None:
        if old is not None:
            self._count(old.uses, -1)
        if new is not None:
            self._count(new.uses, 1)

    def add_set(self, command: tx.AddSet) -> None:
        """Add a set."""
        self._set_there[command.spec.name] = True

    def flush_set(self, command: tx.FlushSet | tx.DeleteSet) -> None:
        """Empty a set."""
        name = command.name
        self._known_set(name)
        standing = self._sets[name].elements if name in self._sets and name not in self._flushed else {}
        filled = self._filled.pop(name, {})
        for element in (*(e for key, e in standing.items() if key not in filled), *filled.values()):
            self._count(_chain_of(element), -1)
        self._flushed.add(name)

    def delete_set(self, command: tx.DeleteSet) -> None:
        """Remove a set."""
        self.flush_set(command)
        self._set_there[command.name] = False
        self._gone[f"@{command.name}"] = None

    def add_element(self, command: tx.AddElement) -> None:
        """Put an element in, in place of one with the same key."""
        element = command.element
        self._known_set(element.set)
        self._count(_chain_of(self._element(element.set, element.key)), -1)
        self._count(_chain_of(element), 1)
        self._filled.setdefault(element.set, {})[element.key] = element
        for name in _chain_of(element):
            self._needed[name] = element.set

    def delete_element(self, command: tx.DeleteElement) -> None:
        """Take an element out."""
        name, key = command.element.set, command.element.key
        self._known_set(name)
        old = self._element(name, key)
        if old is None:
            raise NftError(f"element {value_text(key)} of {name}: No such file or directory")
        self._count(_chain_of(old), -1)
        self._filled.setdefault(name, {})[key] = None


def _chain_of(element: Element | None) -> tuple[str, ...]:
    verdict = element.verdict if element is not None else None
    return (verdict.chain,) if verdict is not None and verdict.chain else ()


_STEPS: Final[Mapping[type[tx.Command], Callable[[Draft, Any], None]]] = {
    tx.Write: Draft.write,
    tx.FlushChain: Draft.flush_chain,
    tx.DeleteChain: Draft.delete_chain,
    tx.AddSet: Draft.add_set,
    tx.FlushSet: Draft.flush_set,
    tx.DeleteSet: Draft.delete_set,
    tx.AddElement: Draft.add_element,
    tx.DeleteElement: Draft.delete_element,
}
