"""A bench for HTTP: a client pod and a server pod on two nodes of a flat fabric, with real sockets.

`Peer` is a hand-written TCP end for what no decent server or client does; `Names` is a resolver that is told what to
answer, and when.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from netsim.cni.flat import FlatCni
from netsim.engine import MS, Engine, S
from netsim.fabric.fabric import Fabric, FabricConfig
from netsim.fabric.host import Host
from netsim.kernel.errno import Errno
from netsim.kernel.tcp import TcpConnection
from netsim.wire.addr import Prefix, ip
from netsim.workload.http_client import ClientSpec, HttpClient
from netsim.workload.http_exchange import HttpExchange
from netsim.workload.http_server import HttpServer, ServerSpec
from netsim.workload.load import LoadGenerator, LoadSpec
from netsim.workload.records import RequestDone

# Nothing has this address: packets to it meet the node's blackhole.
NOBODY = "10.244.2.99"
OnData = Callable[["Peer", TcpConnection, bytes, int], object]


class Peer:
    """A TCP handler that writes down what it is told; `on_data` may react."""

    def __init__(self, on_data: OnData = lambda *_: None) -> None:
        self.on_data = on_data
        self.conns: list[TcpConnection] = []
        self.data = b""
        self.events: list[tuple[str, int]] = []

    def accept(self, conn: TcpConnection, now: int) -> "Peer":
        self.conns.append(conn)
        self.events.append(("accepted", now))
        return self

    def connected(self, conn: TcpConnection, now: int) -> None:
        self.conns.append(conn)
        self.events.append(("connected", now))

    def received(self, conn: TcpConnection, data: bytes, now: int) -> None:
        self.data += data
        self.on_data(self, conn, data, now)

    def peer_closed(self, conn: TcpConnection, now: int) -> None:
        self.events.append(("peer_closed", now))
        conn.close(now)

    def closed(self, conn: TcpConnection, now: int) -> None:
        self.events.append(("closed", now))

    def failed(self, conn: TcpConnection, errno: Errno, now: int) -> None:
        self.events.append((errno.name, now))

    @property
    def told(self) -> list[str]:
        return [name for name, _ in self.events]


@dataclass
class Answer:
    addresses: tuple[bytes, ...] = ()
    error: str | None = None


class Names:
    """A resolver: each look-up takes `delay_ns` and gives the next of `answers` (the last one for ever)."""

    def __init__(self, engine: Engine, answers: Sequence[Answer], delay_ns: int = 1 * MS) -> None:
        self.engine = engine
        self.answers = list(answers)
        self.delay_ns = delay_ns
        self.asked: list[str] = []

    def lookup(self, name: str, done: Callable[[Any, int], None], family: str = "any") -> None:
        self.asked.append(name)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if self.delay_ns:
            self.engine.call_later(self.delay_ns, lambda: done(answer, self.engine.now))
        else:
            done(answer, self.engine.now)


class HttpLab:
    """`client` (10.244.1.5 on n1) and `server` (10.244.2.5 on n2); time begins at 1 s."""

    def __init__(self, seed: int = 1, **config: Any) -> None:
        self.engine = Engine(seed)
        self.fabric = Fabric(self.engine, FabricConfig(**config), FlatCni())
        for index in (1, 2):
            cidr = Prefix.parse(f"10.244.{index}.0/24")
            self.fabric.add_node(f"n{index}", ip(f"172.18.0.{index + 1}"), cidr)
        self.client: Host = self.fabric.add_pod("n1", "default/client", ip("10.244.1.5"))
        self.server: Host = self.fabric.add_pod("n2", "default/web", ip("10.244.2.5"))
        self.address = "10.244.2.5"
        self.records: list[RequestDone] = []
        self.engine.bus.subscribe(RequestDone, self.records.append)
        self.exits: list[tuple[int, int]] = []
        self.over: list[HttpExchange] = []
        self.engine.run(1 * S)

    @property
    def now(self) -> int:
        return self.engine.now

    def run(self, for_ns: int) -> None:
        self.engine.run(self.engine.now + for_ns)

    def at(self, after_ns: int, function: Callable[..., object], *args: object) -> None:
        self.engine.call_later(after_ns, function, *args)

    # ------------------------------------------------------------------ servers
    def serve(self, host: Host | None = None, **spec: Any) -> HttpServer:
        server = HttpServer(host or self.server, ServerSpec(**spec))
        server.exited = lambda code, now: self.exits.append((code, now))
        server.start(self.now)
        return server

    def peer(self, on_data: OnData = lambda *_: None, port: int = 80) -> Peer:
        """A hand-written server."""
        peer = Peer(on_data)
        self.server.ns.sockets.listen(port, peer.accept, owner=peer)
        return peer

    def answering(self, response: bytes, close: bool = False, port: int = 80) -> Peer:
        """A server that answers every segment with these bytes."""

        def answer(_peer: Peer, conn: TcpConnection, _data: bytes, now: int) -> None:
            conn.send(response, now)
            if close:
                conn.close(now)

        return self.peer(answer, port)

    # ------------------------------------------------------------------ clients
    def connect(self, on_data: OnData = lambda *_: None, port: int = 80) -> Peer:
        """A hand-written client."""
        peer = Peer(on_data)
        self.client.ns.sockets.connect(ip(self.address), port, peer, self.now, owner=peer)
        return peer

    def http(self, resolver: Names | None = None, **spec: Any) -> HttpClient:
        return HttpClient(self.client, ClientSpec(**({"host": self.address} | spec)), resolver)

    def get(self, client: HttpClient | None = None, **spec: Any) -> HttpExchange:
        """Begin a request; it ends up in `over`."""
        client = client or self.http(**spec)
        return client.request(lambda exchange, _now: self.over.append(exchange), self.now)

    def load(self, resolver: Names | None = None, **spec: Any) -> LoadGenerator:
        """Start a load of 1 request per millisecond, unless told otherwise."""
        own = {k: spec.pop(k) for k in ("where", "index", "clients", "numbers", "epoch_ns") if k in spec}
        given: dict[str, Any] = {
            "name": "shop",
            "host": self.address,
            "rate_per_s": 1000.0,
            "arrivals": "constant",
        }
        generator = LoadGenerator(self.client, LoadSpec(**(given | spec)), resolver, **own)
        generator.exited = lambda code, now: self.exits.append((code, now))
        generator.start(self.now)
        return generator

    def outcomes(self) -> list[str]:
        return [record.outcome for record in self.records]
