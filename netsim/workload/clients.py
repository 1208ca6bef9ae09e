"""The client for a URL's scheme: http, tcp (some bytes, any answer) or udp (a datagram, a datagram back).

Called by `load.py` and `netsim explain`.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from netsim.workload.http_client import ClientSpec, HttpClient
from netsim.workload.http_exchange import HttpExchange
from netsim.workload.raw_messages import RawMessages
from netsim.workload.udp_client import UdpClient, UdpExchange

if TYPE_CHECKING:
    from netsim.fabric.host import Host
    from netsim.fabric.http_messages import Messages
    from netsim.workload.http_client import NameResolver

Scheme = Literal["http", "tcp", "udp", "dns"]
Client = HttpClient | UdpClient
Exchange = HttpExchange | UdpExchange


def make_client(
    scheme: Scheme,
    host: "Host",
    spec: ClientSpec,
    resolver: "NameResolver | None" = None,
    *,
    messages: "Messages | None" = None,
    owner: object = None,
    connections: Iterator[int] | None = None,
) -> Client:
    """A client process; `messages` may be shared by HTTP clients. Raises ValueError for dns, whose look-ups need no
    connection (`load_lookups.py`)."""
    if scheme == "dns":
        raise ValueError("a look-up has no client")
    if scheme == "udp":
        return UdpClient(host, spec, resolver, owner=owner, connections=connections)
    chosen = RawMessages() if scheme == "tcp" else messages
    return HttpClient(host, spec, resolver, messages=chosen, owner=owner, connections=connections)
