"""The autopath plugin: the server walks the client's search list, so that the client needs one query instead of five.

Made by `build` (only `autopath @kubernetes`). Source: CoreDNS plugin/autopath, plugin/kubernetes/autopath.go.
Needs `pods verified`: the client's namespace is that of the pod with the client's address.
"""

from netsim.cluster.dns.chain import NEVER_AGAIN, Handler, Request, Respond, in_zone, match_zone
from netsim.cluster.dns.finder import Finder
from netsim.cluster.dns.names import SVC
from netsim.wire.addr import ip_text
from netsim.wire.dns import CNAME, NXDOMAIN, Record, Reply


class AutoPath:
    """The plugin. `host_search` is the search list of the server's own resolv.conf, which comes last."""

    def __init__(
        self, zones: tuple[str, ...], finder: Finder, host_search: tuple[str, ...], next_handler: Handler
    ) -> None:
        self.zones = zones
        self._finder = finder
        self._host_search = host_search
        self._next = next_handler

    def serve(self, request: Request, respond: Respond) -> None:
        """Walk the list when the query ends in its first entry."""
        key = request.query.key
        search = self._search_list(request)
        if not search or not match_zone(key, self.zones) or not in_zone(key, search[0]):
            self._next.serve(request, respond)
            return
        base = request.query.question.name[: -len(search[0])]
        _Walk(base, search, self._next, request, respond).step()

    def _search_list(self, request: Request) -> list[str]:
        """What the client's resolv.conf says, "." at the end for the name as it is; [] when the pod is unknown."""
        zone = match_zone(request.query.key, self._finder.options.zones)
        if not zone or self._finder.options.pods != "verified" or not request.client:
            return []
        pods = self._finder.world.pods_at(ip_text(request.client))
        if not pods:
            return []
        return [f"{pods[0].namespace}.{SVC}.{zone}", f"{SVC}.{zone}", zone, *self._host_search, "."]


class _Walk:
    """One client's walk along its search list."""

    def __init__(
        self, base: str, search: list[str], next_handler: Handler, request: Request, respond: Respond
    ) -> None:
        self._names = [base.rstrip(".") + "." + ("" if entry == "." else entry) for entry in search]
        self._next = next_handler
        self._request = request
        self._respond = respond
        self._at = 0
        self._first: Reply | None = None

    def step(self) -> None:
        """Ask for the next name."""
        name = self._names[self._at]
        self._next.serve(self._request.about(name, self._request.query.question.type), self._got)

    def _got(self, reply: Reply, _until_ns: int) -> None:
        self._first = self._first or reply
        if reply.rcode != NXDOMAIN:
            self._respond(self._named_as_asked(reply), NEVER_AGAIN)
            return
        self._at += 1
        if self._at < len(self._names):
            self.step()
        else:
            self._respond(self._first, NEVER_AGAIN)

    def _named_as_asked(self, reply: Reply) -> Reply:
        """The reply with a CNAME from the name that was asked for to the one that was found."""
        asked, found = self._request.query.question.name, self._names[self._at]
        if not reply.answer or self._at == 0:
            return reply
        alias = Record(asked, CNAME, reply.answer[0].ttl, found)
        return Reply(
            reply.rcode, (alias, *reply.answer), reply.authority, reply.additional,
            reply.authoritative, reply.recursion_available, reply.truncated,
        )  # fmt: skip
