"""The loadbalance plugin: addresses come in a new random order each time, CNAMEs first.

Made by `build`. Source: CoreDNS plugin/loadbalance (its policy "round_robin" is a random shuffle of the A, AAAA and MX
records of each section). The order is drawn by whoever writes the reply (`wire.dns_codec.Body`), so that the rest of
the work is done once.
"""

from dataclasses import replace

from netsim.cluster.dns.chain import Handler, Request, Respond
from netsim.wire.dns import Reply


class LoadBalance:
    """The plugin."""

    def __init__(self, next_handler: Handler) -> None:
        self._next = next_handler

    def serve(self, request: Request, respond: Respond) -> None:
        """Mark the reply to be shuffled when there is something to shuffle."""

        def shuffle(reply: Reply, until_ns: int) -> None:
            several = len(reply.answer) > 1 or len(reply.additional) > 1 or len(reply.authority) > 1
            respond(replace(reply, shuffle=True) if several else reply, until_ns)

        self._next.serve(request, shuffle)
