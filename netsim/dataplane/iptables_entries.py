"""The common chains of the iptables dataplane, put together from the parts of all Services.

Every Service port adds a few rules to KUBE-SERVICES and its like. `EntryChains` is the immutable sum of these parts, in
the order of Service names, which stands for the arbitrary order in which kube-proxy walks its map. Nodes whose parts
are the same share one object, found by a fingerprint that is kept up with each change; so after a change the chains are
put together once, not once per node, and not at all if the parts stay as they are.
"""

from collections.abc import Iterable, Mapping
from itertools import chain as concatenate
from typing import Final
from weakref import WeakValueDictionary

from netsim.dataplane import iptables_names as names
from netsim.dataplane.iptables_rules import Entries, Entry, Fragment
from netsim.dataplane.service_table import ServicePortName
from netsim.kernel.xtables_chain import Chain, Rule

TABLE_AND_NAME: Final[Mapping[Entry, tuple[str, str]]] = {
    Entry.NAT_SERVICES: ("nat", names.SERVICES),
    Entry.NAT_NODE_PORTS: ("nat", names.NODE_PORTS),
    Entry.FILTER_SERVICES: ("filter", names.SERVICES),
    Entry.FILTER_EXTERNAL: ("filter", names.EXTERNAL_SERVICES),
    Entry.FILTER_NODE_PORTS: ("filter", names.NODE_PORTS),
    Entry.FILTER_FIREWALL: ("filter", names.PROXY_FIREWALL),
}
_MODULUS: Final = 1 << 128

Fingerprint = tuple[int, ...]
_Key = tuple[str, str, str]
_Changes = Mapping[ServicePortName, tuple[Fragment | None, Fragment | None]]


class _Column:
    """One common chain without its node's last rules; the chains made from it are kept."""

    __slots__ = ("_chains", "entry", "rules")

    def __init__(self, entry: Entry, rules: tuple[Rule, ...]) -> None:
        self.entry = entry
        self.rules = rules
        self._chains: dict[tuple[Rule, ...], Chain] = {}

    def chain(self, last: tuple[Rule, ...]) -> Chain:
        """The chain with the rules that come last on a node."""
        found = self._chains.get(last)
        if found is None:
            found = self._chains[last] = Chain(TABLE_AND_NAME[self.entry][1], self.rules + last)
        return found


class EntryChains:
    """The parts of all Service ports; see the module."""

    __slots__ = ("__weakref__", "columns", "fingerprint", "parts")

    def __init__(
        self, parts: dict[_Key, Entries], fingerprint: Fingerprint, columns: tuple[_Column, ...]
    ) -> None:
        self.parts = parts
        self.fingerprint = fingerprint
        self.columns = columns

    def chain(self, entry: Entry, last: tuple[Rule, ...] = ()) -> Chain:
        """One of the common chains, with the rules that come last on a node."""
        return self.columns[entry].chain(last)

    def rules(self) -> int:
        """Rules in all common chains together."""
        return sum(len(column.rules) for column in self.columns)


class EntryStore:
    """Finds or makes `EntryChains`; one per cluster. Holds them weakly: they live as long as a node uses them."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Fingerprint, EntryChains] = WeakValueDictionary()
        columns = tuple(_Column(entry, ()) for entry in Entry)
        self.empty = EntryChains({}, (0,) * len(Entry), columns)

    def derive(self, old: EntryChains, changes: _Changes) -> EntryChains:
        """`old` with the fragments of some ports replaced (before, after; None where there is none)."""
        fingerprint = _moved(old.fingerprint, changes.values())
        if fingerprint == old.fingerprint:
            return old
        found = self._known.get(fingerprint)
        if found is None:
            found = self._known[fingerprint] = _combine(old, changes, fingerprint)
        return found


def _moved(old: Fingerprint, changes: Iterable[tuple[Fragment | None, Fragment | None]]) -> Fingerprint:
    sums = list(old)
    for before, after in changes:
        for entry in range(len(sums)):
            gone = before.digests[entry] if before is not None else 0
            come = after.digests[entry] if after is not None else 0
            sums[entry] += come - gone
    return tuple(total % _MODULUS for total in sums)


def _combine(old: EntryChains, changes: _Changes, fingerprint: Fingerprint) -> EntryChains:
    parts = dict(old.parts)
    grown = False
    for name, (_, after) in changes.items():
        key = _key(name)
        if after is None or not any(after.entries):
            parts.pop(key, None)
        else:
            grown = grown or key not in parts
            parts[key] = after.entries
    if grown:
        parts = dict(sorted(parts.items()))
    columns = tuple(
        column if new == was else _Column(entry, tuple(_column_rules(parts, entry)))
        for entry, column, new, was in zip(Entry, old.columns, fingerprint, old.fingerprint, strict=True)
    )
    return EntryChains(parts, fingerprint, columns)


def _column_rules(parts: Mapping[_Key, Entries], entry: Entry) -> Iterable[Rule]:
    return concatenate.from_iterable(entries[entry] for entries in parts.values())


def _key(name: ServicePortName) -> _Key:
    """Sorts as upstream's tests do: by the text of the Service, then by port."""
    return str(name.service), name.port, name.protocol
