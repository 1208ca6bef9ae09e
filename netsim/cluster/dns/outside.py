"""The name server outside the cluster, which the nodes' own resolv.conf names: for what CoreDNS forwards.

Made by whoever builds the world. It answers for the root zone, and since no names outside are given, every answer is
NXDOMAIN, as for a misspelt name on the Internet. The SOA's times are the real root zone's (a negative answer counts
for a day; CoreDNS remembers it for less).
"""

from typing import Final

from netsim.cluster.dns.chain import EndOfChain, Request, Respond
from netsim.cluster.dns.server import DnsServer
from netsim.cluster.dns.zonefile import ZoneFile, parse_zone
from netsim.fabric.host import Host
from netsim.wire.dns import DNS_PORT
from netsim.wire.dns_codec import DnsCodec

_ROOT: Final = """
. 86400 IN SOA a.root-servers.net. nstld.verisign-grs.com. 2026010100 1800 900 604800 86400
. 86400 IN NS a.root-servers.net.
"""


def outside_names(host: Host) -> DnsServer:
    """The name server on a host, not started yet."""
    end = EndOfChain()

    def elsewhere(request: Request, respond: Respond) -> None:
        end.serve(request, respond)

    zone = ZoneFile(".", parse_zone(_ROOT, "."), end, elsewhere)
    return DnsServer(host, {DNS_PORT: zone}, DnsCodec())
