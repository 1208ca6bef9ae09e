"""The ConfigMap `kube-dns`: stub domains and upstream name servers, validated and put to use.

Called by the loader of that ConfigMap and by conformance tests. Source: kubernetes/dns 9aa70b8f pkg/dns/config,
pkg/dnsmasq/nanny.go, pkg/dns/util; coredns/ci test/k8sdeployment (translation to a Corefile).
"""

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")  # validation.IsDNS1123Subdomain


def validate_config(config: Mapping[str, Any]) -> list[str]:
    """What is wrong with stubDomains and upstreamNameservers; [] when valid (pkg/dns/config/config.go Validate)."""
    errors = []
    for domain, servers in (config.get("stubDomains") or {}).items():
        if not _SUBDOMAIN.fullmatch(domain):
            errors.append(f"invalid domain name: {domain!r}")
        errors += [f"invalid nameserver: {server!r}" for server in servers if not _is_stub_server(server)]
    upstreams = config.get("upstreamNameservers") or []
    if len(upstreams) > 3:
        errors.append("upstreamNameserver cannot have more than three entries")
    errors += [f"invalid nameserver: {server!r}" for server in upstreams if name_server(server) is None]
    return errors


def _split_port(text: str) -> tuple[str, str | None]:
    """Host and port text of `host:port` or `[v6]:port` (net.SplitHostPort); all of it and None without a port."""
    match = re.fullmatch(r"\[(.*)\]:(.*)|([^:]*):([^:]*)", text)
    if match is None:
        return text, None
    return (match[1], match[2]) if match[1] is not None else (match[3], match[4])


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_port(text: str) -> bool:
    return bool(re.fullmatch(r"\d{1,5}", text)) and int(text) <= 65535


def _is_stub_server(text: str) -> bool:
    host, port = _split_port(text)
    if port and not _is_port(port):
        return False
    return _is_ip(host) or bool(_SUBDOMAIN.fullmatch(text))


def name_server(text: str) -> tuple[str, int] | None:
    """Address and port of an upstream name server, or None (util.ValidateNameserverIpAndPort)."""
    host, port = _split_port(text)
    if not _is_ip(host) or (port is not None and not (_is_port(port) and int(port))):
        return None
    return host, int(port) if port is not None else 53


def dnsmasq_arguments(
    arguments: Sequence[str], config: Mapping[str, Any], resolve: Callable[[str], str]
) -> list[str]:
    """What the nanny starts dnsmasq with: one --server per stub domain server and upstream (pkg/dnsmasq/nanny.go)."""
    made = list(arguments)
    for domain, servers in sorted((config.get("stubDomains") or {}).items()):
        for server in servers:
            named = not _is_ip(_split_port(server)[0])
            made += ["--server", f"/{domain}/{_for_dnsmasq(resolve(server) if named else server)}"]
    upstreams = config.get("upstreamNameservers") or []
    for server in upstreams:
        made += ["--server", _for_dnsmasq(server)]
    return made + (["--no-resolv"] if upstreams else [])


def _for_dnsmasq(server: str) -> str:
    """dnsmasq separates the port with #; brackets stay."""
    return re.sub(r"^(\[.*\]|[^:]*):([^:]*)$", r"\1#\2", server)


def upstream_servers(config: Mapping[str, Any], node_nameservers: Sequence[str]) -> list[str]:
    """The `address:port` of the servers that kube-dns forwards to: valid upstreams, else those of its resolv.conf."""
    valid = [found for found in map(name_server, config.get("upstreamNameservers") or []) if found]
    servers = valid or [(address, 53) for address in node_nameservers]
    return [f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers]


def corefile_from(config: Mapping[str, Any], cluster_domain: str = "cluster.local") -> str:
    """The Corefile that a kube-dns ConfigMap becomes: the upstreams go into the block of ".", each stub domain gets a
    block of its own with the first of its servers (coredns/ci test/k8sdeployment, docs dns-custom-nameservers)."""
    upstreams = " ".join(config.get("upstreamNameservers") or ("/etc/resolv.conf",))
    blocks = [_MAIN_BLOCK.format(domain=cluster_domain, upstreams=upstreams)]
    for domain, servers in (config.get("stubDomains") or {}).items():
        blocks.append(_STUB_BLOCK.format(domain=domain, server=servers[0]))
    return "\n".join(blocks)


_MAIN_BLOCK: Final = """.:53 {{
    errors
    health {{
        lameduck 5s
    }}
    ready
    kubernetes {domain} in-addr.arpa ip6.arpa {{
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    prometheus :9153
    forward . {upstreams} {{
        max_concurrent 1000
    }}
    cache 30
    loop
    reload
    loadbalance
}}
"""
_STUB_BLOCK: Final = """{domain}:53 {{
    errors
    cache 30
    loop
    forward . {server} {{
        max_concurrent 1000
    }}
}}
"""
