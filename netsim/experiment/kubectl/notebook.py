"""kubectl for notebooks: `cluster.kubectl("get pods")` returns what it prints.

Called by: `Cluster.kubectl`, which keeps one of these, so that Events and the namespace are remembered.
"""

import shlex
from typing import TYPE_CHECKING

from netsim.experiment.exec import CommandResult
from netsim.experiment.kubectl.command import run
from netsim.experiment.kubectl.context import Context
from netsim.experiment.kubectl.events import EventLog

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster

_SYNTAX = 2


class Kubectl:
    """kubectl at one cluster."""

    def __init__(self, cluster: "Cluster") -> None:
        self._cluster = cluster
        self._out: list[str] = []
        self._err: list[str] = []
        log = EventLog(cluster.engine, cluster.api)
        self._context = Context(cluster, log, self._out.append, self._err.append)

    def run(self, command: str) -> CommandResult:
        """One command, with or without the word kubectl before it."""
        begun = self._cluster.engine.now
        try:
            words = shlex.split(command)
        except ValueError as error:
            return CommandResult("", f"error: {error}\n", _SYNTAX, 0)
        code = run(self._context, words[1:] if words[:1] == ["kubectl"] else words)
        result = CommandResult("".join(self._out), "".join(self._err), code, self._cluster.engine.now - begun)
        self._out.clear()
        self._err.clear()
        return result
