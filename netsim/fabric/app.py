"""What runs in a container, as far as the kernel of its pod and the kubelet are concerned."""

from collections.abc import Callable
from typing import Protocol

Exited = Callable[[int, int], None]


class App(Protocol):
    """A process. It owns sockets in its host's namespace (`owner=self`), which the kernel closes when it ends."""

    exited: Exited
    """Set by whoever starts it: `exited(exit_code, now)`, called once."""

    def start(self, now: int) -> None:
        """exec(2): open sockets, begin."""

    def terminate(self, now: int) -> None:
        """SIGTERM: finish as this application does."""

    def kill(self, now: int) -> None:
        """SIGKILL: end at once; the kernel closes the sockets."""
