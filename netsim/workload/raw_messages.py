"""Messages for servers that do not speak HTTP: some bytes go there, whatever comes back is the answer.

Used for `tcp://` loads in the place of `fabric.http_messages.Messages`: connection, pool, time-outs and retries are
those of the HTTP client, and only what is sent and how an answer is recognised differ.
"""

from typing import Final

from netsim.fabric.http_messages import Headers, HttpResponse, Incoming, Messages, Reader

PAYLOAD: Final = b"netsim\r\n\r\n"  # the empty line makes HTTP servers answer too: 400
_STATUS: Final = 0  # there is no such thing


class RawMessages(Messages):
    """The first bytes that come back are the answer; nobody closes."""

    def request(self, method: str, target: str, host: str, headers: Headers = (), body: bytes = b"") -> bytes:
        """The same bytes for everything."""
        return PAYLOAD

    def read_response(self, data: bytes, to_head: bool = False) -> HttpResponse | None:
        """Anything is an answer."""
        return HttpResponse((), data, False, 0, b"", _STATUS, "")

    def incoming_response(self, to_head: bool = False) -> Incoming[HttpResponse]:
        """Never needed: answers come in one piece."""
        return Incoming(self.read_response, Reader)  # type: ignore[arg-type]
