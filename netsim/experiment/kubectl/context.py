"""What a kubectl command works with: the cluster, where it writes and reads, and how it lets time pass.

Called by every verb. The terminal and `Cluster.kubectl` make one each. Time passes in steps; between them whoever wants
it may write (a tcpdump in the background) and Ctrl-C is heard, never inside one, so that no event is left half done.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from netsim.cluster.apiserver import ApiServer
from netsim.engine import MS, S

if TYPE_CHECKING:
    from netsim.experiment.cluster import Cluster
    from netsim.experiment.kubectl.events import EventLog

STEP_NS: Final = 100 * MS
WATCH_STEP_NS: Final = 10 * MS


class KubectlError(Exception):
    """A command that failed; the message is what kubectl writes to stderr, `code` its exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Interrupted(Exception):
    """Ctrl-C between two steps of time."""


def _nobody() -> bool:
    return False


def _no_stdin() -> str:
    raise KubectlError("error: nothing comes from stdin here: name a file")


@dataclass(slots=True)
class Context:
    """One user at one cluster. `out` and `err` take text; `ticks` are called after each step of time."""

    cluster: "Cluster"
    events: "EventLog"
    out: Callable[[str], object]
    err: Callable[[str], object]
    stdin: Callable[[], str] = _no_stdin
    interrupted: Callable[[], bool] = _nobody
    ticks: list[Callable[[], None]] = field(default_factory=list)
    namespace: str = "default"
    said: list[str] = field(default_factory=list)  # remarks that are made once

    @property
    def api(self) -> ApiServer:
        """The API server."""
        return self.cluster.api

    @property
    def now(self) -> int:
        """Engine time."""
        return self.cluster.engine.now

    def advance(self, ns: int, step_ns: int = STEP_NS) -> None:
        """Let time pass. Raises Interrupted between steps."""
        end = self.now + ns
        while self.now < end:
            if self.interrupted():
                raise Interrupted
            self.cluster.engine.run(min(self.now + step_ns, end))
            for tick in self.ticks:
                tick()

    def wait(self, done: Callable[[], bool], limit_ns: int, step_ns: int = WATCH_STEP_NS) -> bool:
        """Let time pass until something is so; False when it is not within the limit."""
        end = self.now + limit_ns
        while not done():
            if self.now >= end:
                return False
            self.advance(min(step_ns, end - self.now), step_ns)
        return True

    def read(self, name: str) -> str:
        """A file's text, or stdin's for `-`. Raises KubectlError."""
        if name == "-":
            return self.stdin()
        if name.startswith(("http://", "https://")):
            raise KubectlError(f'error: "{name}" is outside the simulation: download it and name the file')
        path = Path(name)
        if not path.exists():
            raise KubectlError(f'error: the path "{name}" does not exist')
        try:
            return path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise KubectlError(f'error: error reading "{name}": {error}') from None


def seconds(text: str, flag: str) -> int:
    """A Go duration of a flag in ns (`30s`; kubectl also takes plain seconds). Raises KubectlError."""
    from netsim.engine import parse_duration

    if text.isdigit():
        return int(text) * S
    try:
        return parse_duration(text)
    except ValueError as error:
        raise KubectlError(
            f'error: invalid argument "{text}" for "--{flag}" flag: time: invalid duration: {error}'
        ) from None
