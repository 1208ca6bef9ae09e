"""The hosts plugin: names and addresses in the form of /etc/hosts, with PTR records made from them.

Made by `build`. Source: CoreDNS plugin/hosts (hosts.go, hostsfile.go): answers A, AAAA and PTR; a name that it does
not have is NXDOMAIN without a SOA unless `fallthrough`; TTL 3600.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from netsim.cluster.dns.chain import UNTIL_CHANGE, Handler, Request, Respond, match_zone
from netsim.cluster.dns.names import reverse_address
from netsim.wire.addr import ip, ip_text
from netsim.wire.dns import AAAA, NXDOMAIN, PTR, A, Record, Reply

DEFAULT_TTL: Final = 3600  # CoreDNS plugin/hosts/README.md


@dataclass(frozen=True, slots=True)
class HostsOptions:
    """The hosts block of a Corefile: `entries` are (address text, name in lower case with a final dot)."""

    entries: tuple[tuple[str, str], ...]
    zones: tuple[str, ...] = (".",)
    fallthrough: tuple[str, ...] = ()
    ttl: int = DEFAULT_TTL
    reverse: bool = True


class Hosts:
    """The plugin."""

    def __init__(self, options: HostsOptions, next_handler: Handler) -> None:
        self.options = options
        self._next = next_handler
        self._addresses = _grouped((name, address) for address, name in options.entries)
        self._names = _grouped(options.entries if options.reverse else ())

    def serve(self, request: Request, respond: Respond) -> None:
        """Answer a request about a name or an address of the table."""
        name, qtype = request.query.question
        key = request.query.key
        address = reverse_address(key) if qtype == PTR else ""
        targets = self._names.get(address, ())
        if targets:
            answer = [Record(name, PTR, self.options.ttl, target) for target in targets]
        elif address or not match_zone(key, self.options.zones):
            self._next.serve(request, respond)
            return
        else:
            addresses = self._addresses.get(key, ())
            answer = [
                Record(name, qtype, self.options.ttl, text) for text in addresses if _family(text) == qtype
            ]
        if answer or key in self._addresses:  # the other family of a known name: NODATA
            respond(Reply(answer=tuple(answer), authoritative=True), UNTIL_CHANGE)
        elif match_zone(key, self.options.fallthrough):
            self._next.serve(request, respond)
        else:
            respond(Reply(NXDOMAIN, authoritative=True), UNTIL_CHANGE)


def _family(address: str) -> int:
    return A if "." in address else AAAA


def _grouped(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    groups: dict[str, tuple[str, ...]] = {}
    for key, value in pairs:
        groups[key] = (*groups.get(key, ()), value)
    return groups


def parse_hosts(lines: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """(address, name) pairs of hosts(5) lines; comments and lines that do not start with an address are skipped."""
    entries = []
    for line in lines:
        words = line.partition("#")[0].split()
        try:
            address = ip_text(ip(words[0])) if words else ""
        except ValueError:
            continue
        entries += [(address, name.lower().rstrip(".") + ".") for name in words[1:]]
    return tuple(entries)
