"""What servers answer with: nginx's pages for nginx's images, a line with the pod's name for others.

Called by `http_server.py`. Sources: the files and pages of nginx 1.25 (`html/index.html`, ngx_http_special_response.c).
No Date and no Last-Modified header, so that equal answers are equal bytes.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from netsim.fabric.http_messages import Headers

# html/index.html of nginx 1.25: 615 bytes (612 before the line on color-scheme came).
WELCOME: Final = b"""\
<!DOCTYPE html>
<html>
<head>
<title>Welcome to nginx!</title>
<style>
html { color-scheme: light dark; }
body { width: 35em; margin: 0 auto;
font-family: Tahoma, Verdana, Arial, sans-serif; }
</style>
</head>
<body>
<h1>Welcome to nginx!</h1>
<p>If you see this page, the nginx web server is successfully installed and
working. Further configuration is required.</p>

<p>For online documentation and support please refer to
<a href="http://nginx.org/">nginx.org</a>.<br/>
Commercial support is available at
<a href="http://nginx.com/">nginx.com</a>.</p>

<p><em>Thank you for using nginx.</em></p>
</body>
</html>
"""

NGINX_VERSION: Final = "1.25.5"
HEALTH_PATH: Final = "/healthz"
_REASONS: Final = {400: "Bad Request", 404: "Not Found", 405: "Not Allowed"}


class Answer(NamedTuple):
    """Status, headers and body of a response; framing and connection headers come with `Messages.response`."""

    status: int
    headers: Headers
    body: bytes


@dataclass(frozen=True, slots=True)
class Site:
    """The pages of one server. `image` is the container's, with or without registry and tag; `body_bytes` replaces the
    pages by a body of that size, whatever is asked for."""

    image: str
    pod: str
    body_bytes: int | None = None

    @property
    def nginx_version(self) -> str:
        """The version that an nginx image's tag names (`nginx:1.14.2-alpine`), 1.25.5 without one; "" for others."""
        name, _, tag = self.image.partition("@")[0].rsplit("/", 1)[-1].partition(":")
        if not name.startswith("nginx"):
            return ""
        version = tag.partition("-")[0]
        return version if version.count(".") == 2 and version.replace(".", "").isdigit() else NGINX_VERSION

    @property
    def server(self) -> str:
        """The Server header."""
        return f"nginx/{self.nginx_version}" if self.nginx_version else "netsim"

    def answer(self, method: str, target: str) -> Answer:
        """What is answered to a request."""
        path = target.partition("?")[0]
        if path == HEALTH_PATH:
            return self._answer(200, "text/plain", b"ok")
        if self.body_bytes is not None:
            return self._answer(200, "application/octet-stream", b"x" * self.body_bytes)
        if not self.nginx_version:
            return self._answer(200, "text/plain", f"Hostname: {self.pod}\n".encode())
        if method not in ("GET", "HEAD"):
            return self.error(405)
        return self._answer(200, "text/html", WELCOME) if path in ("/", "/index.html") else self.error(404)

    def error(self, status: int) -> Answer:
        """An error page, as nginx words it."""
        title = f"{status} {_REASONS.get(status, 'Error')}"
        page = (
            f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
            f"<hr><center>{self.server}</center>\r\n</body>\r\n</html>\r\n"
        )
        return self._answer(status, "text/html", page.encode())

    def _answer(self, status: int, content_type: str, body: bytes) -> Answer:
        return Answer(status, (("Server", self.server), ("Content-Type", content_type)), body)
