"""ping and nc: whether somebody is there.

Output as iputils 20221126 and busybox print it; nc as OpenBSD's and busybox's.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from netsim.engine import MS, S
from netsim.kernel.errno import Errno
from netsim.wire.addr import Address, ip_text
from netsim.workload.commands.call import Call, Steps, options

if TYPE_CHECKING:
    from netsim.kernel.tcp import TcpConnection
    from netsim.wire.packet import Packet

_WORDS = {
    Errno.ECONNREFUSED: "Connection refused",
    Errno.ETIMEDOUT: "Connection timed out",
    Errno.EHOSTUNREACH: "No route to host",
    Errno.ENETUNREACH: "Network is unreachable",
    Errno.ECONNRESET: "Connection reset by peer",
}


def words_of(errno: Errno) -> str:
    """strerror(3)."""
    return _WORDS.get(errno, errno.name)


class _Ping:
    """The counts of one run."""

    def __init__(self, call: Call, target: str, address: Address) -> None:
        self.call = call
        self.target = target
        self.address = address
        self.begun_ns = call.now
        self.sent = 0
        self.errors = 0
        self.times_ns: list[int] = []

    @property
    def busybox(self) -> bool:
        return bool(self.call.machine.busybox)

    def header(self, size: int) -> None:
        where = ip_text(self.address)
        if self.busybox:
            self.call.out(f"PING {self.target} ({where}): {size} data bytes\n")
        else:
            self.call.out(f"PING {self.target} ({where}) {size}({size + 28}) bytes of data.\n")

    def heard(self, sequence: int, reply: "Packet", size: int, took_ns: int) -> None:
        self.times_ns.append(took_ns)
        source = ip_text(reply.flow.src)
        label = f"seq={sequence - 1}" if self.busybox else f"icmp_seq={sequence}"
        shown = f"{took_ns / 1e6:.3f}"
        self.call.out(f"{size + 8} bytes from {source}: {label} ttl={reply.ttl} time={shown} ms\n")

    def unreachable(self, sequence: int, errno: Errno) -> None:
        self.errors += 1
        if not self.busybox:
            what = "Destination Host Unreachable" if errno is Errno.EHOSTUNREACH else words_of(errno)
            self.call.out(f"From {ip_text(self.call.host.address)} icmp_seq={sequence} {what}\n")

    def statistics(self) -> None:
        got, sent = len(self.times_ns), self.sent
        lost = 100 * (sent - got) // sent if sent else 0
        self.call.out(f"\n--- {self.target} ping statistics ---\n")
        if self.busybox:
            self.call.out(f"{sent} packets transmitted, {got} packets received, {lost}% packet loss\n")
        else:
            errors = f", +{self.errors} errors" if self.errors else ""
            took = (self.call.now - self.begun_ns) // MS
            self.call.out(
                f"{sent} packets transmitted, {got} received{errors}, {lost}% packet loss, time {took}ms\n"
            )
        if got:
            self._round_trips()

    def _round_trips(self) -> None:
        times = [t / 1e6 for t in self.times_ns]
        mean = sum(times) / len(times)
        if self.busybox:
            self.call.out(f"round-trip min/avg/max = {min(times):.3f}/{mean:.3f}/{max(times):.3f} ms\n")
            return
        deviation = max(0.0, sum(t * t for t in times) / len(times) - mean * mean) ** 0.5
        self.call.out(
            f"rtt min/avg/max/mdev = {min(times):.3f}/{mean:.3f}/{max(times):.3f}/{deviation:.3f} ms\n"
        )


def ping(call: Call) -> Steps:
    """ping [-c COUNT] [-i SECONDS] [-W SECONDS] [-s SIZE] HOST; without -c until it is interrupted."""
    try:
        found, words = options(call.args, "cisWwtIQ", "46nqv")
        count = int(found.get("c", "0"))
        interval_ns = int(float(found.get("i", "1")) * S)
        wait_ns = int(float(found.get("W", "10")) * S)
        size = int(found.get("s", "56"))
        target = words[0]
    except (ValueError, IndexError) as error:
        return call.fail(
            f"ping: {error}"
            if isinstance(error, ValueError)
            else "ping: usage error: Destination address required",
            2,
        )
    result = yield from call.lookup(target, "ipv4")
    if not result.addresses:
        why = (
            "Name or service not known"
            if result.error == "NXDOMAIN"
            else "Temporary failure in name resolution"
        )
        return call.fail(
            f"ping: bad address '{target}'" if call.machine.busybox else f"ping: {target}: {why}", 2
        )
    run = _Ping(call, target, result.addresses[0])
    run.header(size)
    call.at_interrupt = run.statistics
    while not count or run.sent < count:
        begun_ns = call.now
        yield from _echo(run, size, wait_ns if run.sent + 1 == count else interval_ns)
        left_ns = begun_ns + interval_ns - call.now
        if left_ns > 0 and run.sent != count:
            yield from call.sleep(left_ns)
    run.statistics()
    return 0 if run.times_ns else 1


def _echo(run: _Ping, size: int, wait_ns: int) -> Generator[Any, Any, None]:
    """One request, and its answer if it comes in time."""
    call = run.call
    run.sent += 1
    begun_ns = call.now

    def begin(done: Any) -> None:
        socket = call.host.ns.sockets.open_icmp(lambda s, reply, errno, now: done(s, reply, errno))
        errno = socket.send(run.address, run.sent, bytes(size), call.now)
        if errno is not None:
            done(socket, None, errno)
        call.engine.call_later(wait_ns, done, socket, None, None)

    socket, reply, errno = yield from call.answer(begin)
    socket.close()
    if reply is not None:
        run.heard(run.sent, reply, size, call.now - begun_ns)
    elif errno is not None:
        run.unreachable(run.sent, errno)


class _Probe:
    """A connection that is opened and closed again: the kernel's handler."""

    def __init__(self, done: Any) -> None:
        self._done = done

    def connected(self, conn: "TcpConnection", now: int) -> None:
        """Somebody listens."""
        conn.close(now)
        self._done(None)

    def received(self, conn: "TcpConnection", data: bytes, now: int) -> None:
        """Nothing is read."""

    def peer_closed(self, conn: "TcpConnection", now: int) -> None:
        """Neither is the end."""

    def closed(self, conn: "TcpConnection", now: int) -> None:
        """Over."""

    def failed(self, conn: "TcpConnection", errno: Errno, now: int) -> None:
        """Nobody, or nobody in time."""
        self._done(errno)


def nc(call: Call) -> Steps:
    """nc -z [-v] [-w SECONDS] HOST PORT: whether a TCP port is open."""
    try:
        found, words = options(call.args, "wp", "zvn4tu")
        target, port = words[0], int(words[1])
    except (ValueError, IndexError):
        return call.fail("usage: nc -z [-v] [-w SECONDS] HOST PORT (only TCP and -z are simulated)")
    if "u" in found:
        return call.fail("nc: UDP is not simulated here: dig and nslookup ask over UDP")
    result = yield from call.lookup(target, "ipv4")
    if not result.addresses:
        return call.fail(
            f"nc: bad address '{target}'"
            if call.machine.busybox
            else f'nc: getaddrinfo for host "{target}" port {port}: Name or service not known'
        )
    address = result.addresses[0]
    timeout_ns = int(float(found.get("w", "130")) * S)

    def begin(done: Any) -> None:
        call.host.ns.sockets.connect(address, port, _Probe(done), call.now)
        call.engine.call_later(timeout_ns, done, Errno.ETIMEDOUT)

    (errno,) = yield from call.answer(begin)
    if errno is None:
        if "v" in found:
            shown = (
                f"{target} ({ip_text(address)}:{port}) open\n"
                if call.machine.busybox
                else f"Connection to {target} ({ip_text(address)}) {port} port [tcp/*] succeeded!\n"
            )
            call.err(shown)
        return 0
    what = words_of(errno)
    if call.machine.busybox:
        return call.fail(f"nc: {target} ({ip_text(address)}:{port}): {what}")
    return (
        call.fail(f"nc: connect to {target} ({ip_text(address)}) port {port} (tcp) failed: {what}")
        if "v" in found
        else 1
    )
