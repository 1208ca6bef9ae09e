"""The elements of kube-proxy's common sets and maps on one node, and who wants them there.

Several ports of a Service share its address in `cluster-ips`; Services may also claim the same external address and
port, and then the first by name has it (upstream: whichever comes last in the order of a Go map). Source: the
`nftElementStorage` of pkg/proxy/nftables/proxier.go: only what differs is written.
"""

from collections.abc import Iterable, Iterator, Mapping

from netsim.dataplane.nftables_rules import Fragment
from netsim.dataplane.service_table import ServicePortName
from netsim.kernel.nft_key import Value
from netsim.kernel.nft_table import Element
from netsim.kernel.nft_transaction import AddElement, Command, DeleteElement

Place = tuple[str, Value]
Claims = tuple[tuple[ServicePortName, Element], ...]
Changes = Mapping[ServicePortName, tuple[Fragment | None, Fragment | None]]


class ElementBook:
    """Who claims which element. A change is worked out first (`claims_after`) and noted later (`note`)."""

    __slots__ = ("_claims",)

    def __init__(self) -> None:
        self._claims: dict[Place, Claims] = {}

    def claims_after(self, changes: Changes) -> dict[Place, Claims]:
        """The claims to every element that the changes touch."""
        touched: dict[Place, Claims] = {}
        for name, (before, after) in changes.items():
            if before is after:
                continue
            for place, claims, _ in self._claimed(before, touched):
                touched[place] = tuple(claim for claim in claims if claim[0] != name)
            for place, claims, element in self._claimed(after, touched):
                touched[place] = (*claims, (name, element))
        return touched

    def _claimed(
        self, fragment: Fragment | None, touched: Mapping[Place, Claims]
    ) -> Iterator[tuple[Place, Claims, Element]]:
        for element in fragment.elements if fragment is not None else ():
            place = element.set, element.key
            yield place, touched[place] if place in touched else self._claims.get(place, ()), element

    def commands(self, touched: Mapping[Place, Claims]) -> Iterator[Command]:
        """What makes the elements those of the claims."""
        for place, claims in touched.items():
            old, new = _winner(self._claims.get(place, ())), _winner(claims)
            if old == new:
                continue
            if old is not None:
                yield DeleteElement(old)
            if new is not None:
                yield AddElement(new)

    def note(self, touched: Mapping[Place, Claims]) -> None:
        """The change is done."""
        for place, claims in touched.items():
            if claims:
                self._claims[place] = claims
            else:
                self._claims.pop(place, None)


def _winner(claims: Iterable[tuple[ServicePortName, Element]]) -> Element | None:
    return min(claims, key=lambda claim: claim[0], default=(None, None))[1]
