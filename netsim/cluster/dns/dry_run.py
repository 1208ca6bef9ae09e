"""Reading a Corefile without running it, to say what CoreDNS would refuse.

Called by `experiment/rules_dns.py`.
"""

from collections.abc import Callable, Mapping
from random import Random

from netsim.cluster.dns.build import Configuration, Surroundings, build
from netsim.cluster.dns.exchange import Done
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.world import World
from netsim.wire.addr import Address
from netsim.wire.dns_codec import DnsCodec


class _Nobody:
    """Asks nobody: nothing is ever sent in a dry run."""

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        """No question."""

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        """No time."""


def check_corefile(text: str, files: Mapping[str, str]) -> Configuration:
    """The configuration of a Corefile. Raises CorefileError with every problem that it has."""
    conf = ResolvConf(("192.0.2.53",))
    return build(text, Surroundings(World(), DnsCodec(), Random(0), _Nobody(), (), conf, files))
