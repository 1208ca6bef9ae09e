"""Expectations: a controller's memory of what it has asked for and not yet seen in its informer.

Without it a controller with an old copy would create its pods twice. Called by: `replicaset.py`.
Source: pkg/controller/controller_utils.go (ControllerExpectations), time-out 5 minutes.
"""

from typing import Final

from netsim.cluster.apiserver import Key
from netsim.engine import S

_TIMEOUT_NS: Final = 300 * S


class Expectations:
    """Creations to be seen (a number) and deletions to be seen (which), for each controller key."""

    def __init__(self) -> None:
        self._adds: dict[Key, int] = {}
        self._deletes: dict[Key, dict[Key, None]] = {}
        self._since_ns: dict[Key, int] = {}

    def satisfied(self, key: Key, now: int) -> bool:
        """Whether all that was asked for has been seen, or was asked for too long ago to wait any more."""
        if not self._adds.get(key) and not self._deletes.get(key):
            return True
        return now - self._since_ns.get(key, 0) > _TIMEOUT_NS

    def expect_creations(self, key: Key, number: int, now: int) -> None:
        """So many creations are about to be asked for."""
        self._since_ns[key] = now
        self._adds[key] = number

    def expect_deletions(self, key: Key, which: list[Key], now: int) -> None:
        """These deletions are about to be asked for."""
        self._since_ns[key] = now
        self._deletes[key] = dict.fromkeys(which)

    def created(self, key: Key) -> None:
        """A creation was seen, or has failed."""
        if self._adds.get(key):
            self._adds[key] -= 1

    def deleted(self, key: Key, which: Key) -> None:
        """A deletion was seen (the pod terminates or is gone), or has failed."""
        self._deletes.get(key, {}).pop(which, None)

    def forget(self, key: Key) -> None:
        """The controller's object is gone."""
        self._adds.pop(key, None)
        self._deletes.pop(key, None)
        self._since_ns.pop(key, None)
