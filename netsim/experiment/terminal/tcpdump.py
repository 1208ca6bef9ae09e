"""`tcpdump -i IFACE [-n] [-c N] [FILTER]` on a node, or `-i pod/NAME` on a pod's own eth0, while time runs.

Called by: `session`. In the foreground time passes until `-c` packets have come, until the limit (10 s unless `--for`
says otherwise) or until Ctrl-C; with `&` it goes on behind other commands, and its lines appear as time passes.

A packet is shown when the interface sees it: on the sending side when it leaves, on the receiving side when it arrives.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from netsim.engine import S
from netsim.experiment.kubectl.context import Context, KubectlError, seconds
from netsim.experiment.terminal.capture_filter import FilterError, Test, compile_filter
from netsim.fabric.tcpdump import Seen
from netsim.fabric.tcpdump import Tcpdump as Listener
from netsim.wire.tcpdump import Printer

_LIMIT: Final = "10s"
_BITS: Final = 262144  # tcpdump's snapshot length


@dataclass(slots=True)
class Options:
    """The command line."""

    interface: str = "eth0"
    numeric: bool = False
    count: int = 0
    for_ns: int = 10 * S
    plain_time: int = 0  # how many -t
    words: list[str] = field(default_factory=list)
    node: str = ""


def parse_options(args: Sequence[str]) -> Options:
    """Raises KubectlError for what is not simulated."""
    options, waiting = Options(), list(args)
    while waiting:
        word = waiting.pop(0)
        if word in ("-i", "--interface", "-c", "--for", "--node"):
            if not waiting:
                raise KubectlError(f"tcpdump: option requires an argument -- '{word.lstrip('-')}'")
            _valued(options, word, waiting.pop(0))
        elif word.startswith("-i") and len(word) > 2 and not word.startswith("-in"):
            options.interface = word[2:]
        elif word.startswith("-") and not options.words:
            rest = _letters(options, word)
            if rest:
                waiting = [f"-{rest}", *waiting]
        else:
            options.words.append(word)
    return options


def _valued(options: Options, word: str, value: str) -> None:
    if word == "-c":
        if not value.isdigit() or int(value) < 1:
            raise KubectlError(f"tcpdump: invalid packet count {value}")
        options.count = int(value)
    elif word == "--for":
        options.for_ns = seconds(value, "for")
    elif word == "--node":
        options.node = value
    else:
        options.interface = value


def _letters(options: Options, word: str) -> str:
    """`-nni` and the like: what is left is an option with a value."""
    for index, letter in enumerate(word[1:], 1):
        if letter == "n":
            options.numeric = True
        elif letter == "t":
            options.plain_time += 1
        elif letter in "lqUp#":
            continue
        elif letter in "ic" and index + 1 == len(word):
            return letter
        else:
            raise KubectlError(
                f"tcpdump: -{letter} is not simulated (known: -i -n -c -t and a filter; "
                "for a file: `capture:` in an experiment, or Cluster.write_pcapng)"
            )
    return ""


class Tcpdump:
    """One capture, running."""

    def __init__(self, context: Context, options: Options, node: str) -> None:
        self._context = context
        self._out = context.out  # where it was begun: not into the pipe of a later command
        self._options = options
        self._test = self._filter()
        self._printer = Printer(None if options.numeric else self._name_of)
        self._taken = 0
        self._waiting: list[tuple[int, int, Seen]] = []
        self.captured = 0
        self._names = context.cluster.names() if not options.numeric else {}
        self._listener = self._listen(node)

    @property
    def done(self) -> bool:
        """Whether -c packets have been shown."""
        return 0 < self._options.count <= self.captured

    # ------------------------------------------------------------------ where
    def _listen(self, node: str) -> Listener:
        """Listen on a pod's or a node's interface; with `any` on all of the node's, also on those to come."""
        wanted = self._options.interface
        if "/" in wanted or wanted.endswith(":eth0"):
            pattern = f"{wanted.removesuffix(':eth0')}:eth0"
        else:
            pattern = f"node/{node}:{'*' if wanted == 'any' else wanted}"
        listener = Listener(self._context.cluster.fabric, [pattern])
        if not listener.interfaces:
            listener.stop()
            raise KubectlError(
                f"tcpdump: {wanted}: No such device exists\n(No such device exists; see `ip addr`, or -i any, "
                "-i pod/NAME)"
            )
        self._note()
        return listener

    def _note(self) -> None:
        wanted = self._options.interface
        kind = "LINUX_SLL2 (Linux cooked v2)" if wanted == "any" else "EN10MB (Ethernet)"
        self._context.err(
            "tcpdump: verbose output suppressed, use -v[v]... for full protocol decode\n"
            f"listening on {wanted}, link-type {kind}, snapshot length {_BITS} bytes\n"
        )

    def _filter(self) -> Test:
        cluster = self._context.cluster

        def address_of(name: str) -> bytes | None:
            for address, known in cluster.names().items():
                if name in (known, known.rpartition("/")[2], known.removeprefix("svc/")):
                    return address
            return None

        try:
            return compile_filter(" ".join(self._options.words), address_of)
        except FilterError as error:
            raise KubectlError(f"tcpdump: {error}") from None

    def _name_of(self, address: bytes) -> str:
        """As a resolver would turn it into a name: Services and nodes have one."""
        known = self._names.get(address, "")
        if known.startswith("svc/"):
            namespace, name = known.removeprefix("svc/").split("/")
            return f"{name}.{namespace}.svc.{self._context.cluster.spec.networking.dnsDomain}"
        return known if known in self._context.cluster.fabric.nodes else ""

    # ------------------------------------------------------------------ what
    def look(self) -> None:
        """Print what has been seen by now; called as time passes."""
        for seen in self._listener.seen[self._taken :]:
            if self._test(seen.flow):
                heapq.heappush(self._waiting, (seen.at_ns, self._taken, seen))
            self._taken += 1
        while self._waiting and self._waiting[0][0] <= self._context.now and not self.done:
            self._print(heapq.heappop(self._waiting)[2])

    def _print(self, seen: Seen) -> None:
        at_ns = seen.at_ns - self._context.cluster.epoch_ns
        when = "" if self._options.plain_time == 1 else f"{clock(at_ns)} "
        side = f"{seen.interface.device:<5} {'Out' if seen.outbound else 'In '} "
        self._out(
            f"{when}{side if self._options.interface == 'any' else ''}{self._printer.line(seen.packet())}\n"
        )
        self.captured += 1

    def stop(self) -> None:
        """Ctrl-C: the summary."""
        self.look()
        self._listener.stop()
        packets = f"{self.captured} packet{'' if self.captured == 1 else 's'}"
        self._context.err(f"{packets} captured\n{packets} received by filter\n0 packets dropped by kernel\n")


def clock(ns: int) -> str:
    """`00:00:12.345678`, counted from the experiment's zero."""
    sign = "-" if ns < 0 else ""
    micros = abs(ns) // 1000
    whole, fraction = divmod(micros, 1_000_000)
    return f"{sign}{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}.{fraction:06d}"
