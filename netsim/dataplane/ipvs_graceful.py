"""Graceful termination of real servers: weight 0 first, deletion when their connections are gone.

Called by the proxier of `ipvs.py`, after each synchronisation and once a minute. A TCP real server stays as long as
it has active or inactive connections; those of UDP and SCTP go at once.

Source: pkg/proxy/ipvs/graceful_termination.go of Kubernetes v1.33.
"""

from typing import Final

from netsim.kernel.ipvs import Ipvs
from netsim.kernel.ipvs_service import DestKey, ServiceKey
from netsim.wire.packet import SCTP, UDP

CHECK_NS: Final = 60_000_000_000  # rsCheckDeleteInterval
_AT_ONCE: Final = (UDP, SCTP)  # not IsRsGracefulTerminationNeeded


class GracefulTermination:
    """The list of one kube-proxy process (GracefulTerminationManager)."""

    __slots__ = ("_list",)

    def __init__(self) -> None:
        self._list: dict[tuple[ServiceKey, DestKey], None] = {}

    def __contains__(self, item: tuple[ServiceKey, DestKey]) -> bool:
        return item in self._list

    def __len__(self) -> int:
        return len(self._list)

    def delete(self, ipvs: Ipvs, service: ServiceKey, dest: DestKey) -> None:
        """GracefulDeleteRS: now if possible, else later."""
        if not self._delete(ipvs, service, dest):
            ipvs.edit_dest(service, dest, 0)
            self._list[service, dest] = None

    def move_out(self, ipvs: Ipvs, service: ServiceKey, dest: DestKey) -> None:
        """MoveRSOutofGracefulDeleteList: it is wanted again, so it is deleted to be added anew."""
        ipvs.delete_dest(service, dest)
        del self._list[service, dest]

    def check(self, ipvs: Ipvs) -> None:
        """tryDeleteRs, once a minute."""
        for service, dest in list(self._list):
            if self._delete(ipvs, service, dest):
                del self._list[service, dest]

    @staticmethod
    def _delete(ipvs: Ipvs, service: ServiceKey, key: DestKey) -> bool:
        """deleteRsFunc; one that is not there any more counts as deleted."""
        standing = ipvs.services.get(service)
        dest = None if standing is None else standing.by_key.get(key)
        if dest is None:
            return True
        if service.protocol not in _AT_ONCE and dest.active + dest.inactive:
            return False
        ipvs.delete_dest(service, key)
        return True
