"""One list of the `recent` match: source addresses and when each was last put in (net/netfilter/xt_recent.c)."""

from typing import Final

from netsim.wire.addr import Address

# Module parameter ip_list_tot of xt_recent: addresses remembered per list; the least recently renewed one goes first.
IP_LIST_TOTAL: Final = 100


class RecentList:
    """The addresses of `/proc/net/xt_recent/NAME`, oldest first."""

    __slots__ = ("_stamps",)

    def __init__(self) -> None:
        self._stamps: dict[Address, int] = {}

    def stamp(self, address: Address, now: int) -> None:
        """`--set`: put an address in, or renew it."""
        self._stamps.pop(address, None)
        if len(self._stamps) >= IP_LIST_TOTAL:
            del self._stamps[next(iter(self._stamps))]
        self._stamps[address] = now

    def seen(self, address: Address, since: int, reap: bool) -> bool:
        """`--rcheck --seconds`: whether an address was put in at `since` or later; with `reap` the address that was
        renewed longest ago goes, if that was before (one at a time, and none for an unknown address)."""
        stamp = self._stamps.get(address)
        if stamp is None:
            return False
        if reap:
            self._reap(since)
        return stamp >= since

    def _reap(self, since: int) -> None:
        oldest = next(iter(self._stamps))
        if self._stamps[oldest] < since:
            del self._stamps[oldest]

    def __len__(self) -> int:
        return len(self._stamps)

    def __contains__(self, address: Address) -> bool:
        return address in self._stamps


class RecentLists:
    """The lists of one namespace by name. A list lives as long as a rule names it, as in Linux."""

    __slots__ = ("_lists", "_uses")

    def __init__(self) -> None:
        self._lists: dict[str, RecentList] = {}
        self._uses: dict[str, int] = {}

    def get(self, name: str) -> RecentList:
        """The list of a name; made on first use."""
        found = self._lists.get(name)
        if found is None:
            found = self._lists[name] = RecentList()
        return found

    def use(self, names: tuple[str, ...]) -> None:
        """A chain whose rules name these lists was put in."""
        for name in names:
            self._uses[name] = self._uses.get(name, 0) + 1

    def release(self, names: tuple[str, ...]) -> None:
        """Such a chain was taken out."""
        for name in names:
            self._uses[name] -= 1
            if not self._uses[name]:
                del self._uses[name]
                self._lists.pop(name, None)
