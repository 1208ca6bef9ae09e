"""What a command is given: its words, its input and output, and the machine that it runs on.

A command is a function from a `Call` to an exit code; one that waits is a generator, run as a SimPy process:

    def curl(call: Call) -> Steps:
        exchange, _now = yield from call.answer(lambda done: client.request(done, call.now))
        call.out(exchange.response.body.decode())
        return 0
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from netsim.cluster.dns.exchange import HostExchanger
from netsim.engine import S
from netsim.wire.addr import Address, ip_text
from netsim.wire.dns import DNS_PORT
from netsim.wire.dns_codec import DnsCodec

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.workload.resolver import Resolver

Steps = Generator[Any, Any, int]

INTERRUPTED: Final = 130  # 128 + SIGINT
_QUERY_TIMEOUT_NS: Final = 5 * S


@dataclass(slots=True)
class Machine:
    """Where commands run: a host, its resolver, and what a container adds. `image` decides whose tools these are:
    busybox's, old or new, or the usual ones."""

    host: "Host"
    resolver: "Resolver"
    image: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def busybox(self) -> str:
        """ "old" (before 1.29, and images built on it), "new", or "" for images with the full tools."""
        name, _, tag = self.image.rsplit("/", 1)[-1].partition("@")[0].partition(":")
        if "busybox" not in name and name != "alpine":
            return ""
        parts = tag.partition("-")[0].split(".")
        numbered = len(parts) >= 2 and parts[0] == "1" and parts[1].isdigit()
        if name != "busybox" and not numbered:
            return "new" if name == "alpine" else "old"  # busyboxplus:curl, busybox-curl: uClibc of their day
        return "old" if numbered and int(parts[1]) < 29 and name != "alpine" else "new"


class Call:
    """One run of one command."""

    def __init__(self, machine: Machine, words: list[str], stdin: str = "") -> None:
        self.machine = machine
        self.host = machine.host
        self.engine = machine.host.engine
        self.name, *self.args = words
        self.stdin = stdin
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self.at_interrupt: Callable[[], None] | None = None
        self.codec = DnsCodec()
        self.rng = self.engine.stream(f"command/{machine.host.name}")
        self.running: Call | None = None  # the command that a shell waits for

    @property
    def now(self) -> int:
        """The time, ns."""
        return self.engine.now

    def out(self, text: str) -> None:
        """Write to standard output."""
        self.stdout.append(text)

    def err(self, text: str) -> None:
        """Write to standard error."""
        self.stderr.append(text)

    def fail(self, text: str, code: int = 1) -> int:
        """Write a line to standard error and return the exit code."""
        self.err(f"{text}\n")
        return code

    # ------------------------------------------------------------------ waiting
    def sleep(self, duration_ns: int) -> Generator[Any, Any, None]:
        """Let time pass."""
        yield self.engine.timeout(duration_ns)

    def answer(self, begin: Callable[[Callable[..., None]], object]) -> Generator[Any, Any, Any]:
        """Begin something that calls back once, and wait for that: `begin(done)`; what `done` was called with."""
        event = self.engine.event()

        def done(*values: object) -> None:
            if not event.triggered:
                event.succeed(values)

        begin(done)
        return (yield event)

    def lookup(self, name: str, family: str = "any") -> Generator[Any, Any, Any]:
        """getaddrinfo: the resolver's `LookupResult`."""
        result, _now = yield from self.answer(lambda done: self.machine.resolver.lookup(name, done, family))
        return result

    def ask(
        self,
        server: Address,
        name: str,
        qtype: int,
        *,
        edns_size: int = 0,
        over_tcp: bool = False,
        timeout_ns: int = _QUERY_TIMEOUT_NS,
    ) -> Generator[Any, Any, bytes | None]:
        """One DNS question to one server; the reply's bytes, or None when there was none in time. A truncated reply
        is asked for again over TCP. Raises ValueError for a name that cannot exist."""
        tail = self.codec.query(name, qtype, edns_size)
        exchanger = HostExchanger(self.host, None, self.rng)
        payload, _now = yield from self.answer(
            lambda done: exchanger.exchange(server, DNS_PORT, tail, timeout_ns, done, over_tcp=over_tcp)
        )
        if payload is not None and payload[2] & 0x02 and not over_tcp:
            payload, _now = yield from self.answer(
                lambda done: exchanger.exchange(server, DNS_PORT, tail, timeout_ns, done, over_tcp=True)
            )
        return payload  # type: ignore[no-any-return]

    def interrupt(self) -> None:
        """Ctrl-C."""
        if self.running is not None:
            self.running.interrupt()
            self.stdout += self.running.stdout
            self.stderr += self.running.stderr
        elif self.at_interrupt is not None:
            self.at_interrupt()


def reverse_name(address: Address) -> str:
    """The name under which an address is looked up: `10.0.96.10.in-addr.arpa.`"""
    if len(address) == 4:
        return ".".join(reversed(ip_text(address).split("."))) + ".in-addr.arpa."
    return ".".join(reversed(address.hex())) + ".ip6.arpa."


def options(args: list[str], with_value: str, flags: str = "") -> tuple[dict[str, str], list[str]]:
    """Short options as getopt(3) reads them, and the other words. A flag has the value "". Raises ValueError for an
    option that is not known, with its letter, and for one that lacks its value."""
    found: dict[str, str] = {}
    words: list[str] = []
    queue = list(args)
    while queue:
        word = queue.pop(0)
        if word == "--":
            words += queue
            break
        if not word.startswith("-") or word == "-" or word.startswith("--"):
            words.append(word)
            continue
        letters = word[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in with_value:
                if not letters and not queue:
                    raise ValueError(f"option requires an argument -- '{letter}'")
                found[letter] = letters or queue.pop(0)
                break
            if letter not in flags:
                raise ValueError(f"invalid option -- '{letter}'")
            found[letter] = ""
    return found, words
