"""A user at a simulated cluster, for tests of kubectl and the terminal: type a line, get what was said."""

from pathlib import Path

from netsim.experiment.cluster import Cluster
from netsim.experiment.terminal.session import Session

ROOT = Path(__file__).resolve().parents[1]


class User:
    """`say("kubectl get pods")` returns stdout and stderr as they came."""

    def __init__(self, topology: str = "topologies/my-nginx.yaml") -> None:
        self.said: list[str] = []
        self.cluster = Cluster(ROOT / topology)
        self.session = Session(self.cluster, self.said.append, self.said.append)
        self.session.boot()

    def say(self, line: str, stdin: str | None = None) -> str:
        self.said.clear()
        self.session.run(line, stdin)
        return "".join(self.said)

    @property
    def code(self) -> int:
        return self.session.code
