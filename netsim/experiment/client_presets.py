"""Well-known HTTP clients with the defaults they have when nobody configures them: `client: go-http`.

Used by `spec_experiment.Load`: a preset is a set of the load's own fields, under what the file says itself. Only what
the simulator acts on is listed; the sources name where each default stands.

- curl: one process per request (curl 8.5). No limit on the whole, 300 s for connecting: lib/connect.h
  DEFAULT_CONNECT_TIMEOUT; no retries.
- go-http: http.DefaultClient (Go 1.23 or newer). src/net/http/transport.go: DefaultTransport (Dialer.Timeout 30 s,
  IdleConnTimeout 90 s), DefaultMaxIdleConnsPerHost 2; Client.Timeout 0. Dialer.KeepAlive 30 s is TCP_KEEPIDLE;
  src/net/tcpsockopt_unix.go: 15 s between probes, nine of them.
- python-requests: one requests.Session (2.32). src/requests/adapters.py: DEFAULT_POOLSIZE 10, DEFAULT_RETRIES 0,
  pool_block False; no time-out unless asked for. urllib3 does not send again on a dead connection.
- java-httpurlconnection: java.net.HttpURLConnection (JDK 21). http.maxConnections 5, http.keepAlive.time.server 5 s
  (sun/net/www/http/KeepAliveCache.java), connect and read time-outs 0 = none, and the JVM's 30 s of DNS cache
  (networkaddress.cache.ttl). HttpClient.java sends again once when a kept connection fails.
- node-fetch: the built-in fetch of Node.js 18 or newer, which is undici. docs/docs/api/Client.md: keepAliveTimeout 4 s
  (the server's Keep-Alive header is not looked at here), headersTimeout 300 s, connect.timeout 10 s.
- nginx-upstream: proxy_pass to one name, without `keepalive`, as by default before 1.29.7. ngx_http_proxy_module:
  proxy_connect_timeout 60 s, proxy_read_timeout 60 s; the name is looked up once, when nginx starts, and
  proxy_next_upstream has no next one to go to.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

ClientName = Literal[
    "curl", "go-http", "python-requests", "java-httpurlconnection", "node-fetch", "nginx-upstream"
]

PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    "curl": {"timeout": "none", "connectTimeout": "300s"},
    "go-http": {
        "timeout": "none",
        "connectTimeout": "30s",
        "keepAlive": True,
        "pool": {"maxIdle": 2, "idleTimeout": "90s"},
        "tcpKeepalive": {"time": "30s", "interval": "15s", "probes": 9},
    },
    "python-requests": {
        "timeout": "none",
        "connectTimeout": "none",
        "keepAlive": True,
        "pool": {"maxIdle": 10, "replaceDead": False},
    },
    "java-httpurlconnection": {
        "timeout": "none",
        "connectTimeout": "none",
        "keepAlive": True,
        "pool": {"maxIdle": 5, "idleTimeout": "5s"},
        "dnsCache": "jvm",
    },
    "node-fetch": {
        "timeout": "300s",
        "connectTimeout": "10s",
        "keepAlive": True,
        "pool": {"idleTimeout": "4s"},
    },
    "nginx-upstream": {"timeout": "60s", "connectTimeout": "60s", "resolve": "once"},
}


def with_preset(raw: Any) -> Any:
    """A load as the file has it, with its client's defaults below it. What is no load stays as it is."""
    preset = PRESETS.get(str(raw.get("client", ""))) if isinstance(raw, Mapping) else None
    if preset is None:
        return raw
    merged = {**preset, **raw}
    for name, default in preset.items():
        own = raw.get(name)
        if isinstance(default, Mapping) and isinstance(own, Mapping):
            merged[name] = {**default, **own}
    return merged
