"""The ConfigMap kube-dns, beyond the conformance rows."""

import pytest

from netsim.cluster.dns.kubedns_config import dnsmasq_arguments, name_server, validate_config


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1.2.3.4", ("1.2.3.4", 53)),
        ("1.2.3.4:5300", ("1.2.3.4", 5300)),
        ("fd00::1", ("fd00::1", 53)),
        ("[fd00::1]:99", ("fd00::1", 99)),
        ("[fd00::1]", None),  # net.SplitHostPort wants a port after brackets
        ("1.2.3.4:0", None),
        ("1.2.3.4:65536", None),
        ("1.2.3.4:", None),
        ("example.com", None),
    ],
)
def test_name_servers(text: str, found: tuple[str, int] | None) -> None:
    assert name_server(text) == found


@pytest.mark.parametrize("server", ["$$$", "1.2.3.4:x", "1.2.3.4:65564", "name:53"])
def test_bad_stub_servers(server: str) -> None:
    assert len(validate_config({"stubDomains": {"a.example": [server]}})) == 1


def test_dnsmasq_writes_ports_with_a_hash() -> None:
    config = {
        "stubDomains": {"v6.example": ["[fd00::1]:99", "fd00::2", "ns.example"]},
        "upstreamNameservers": ["1.2.3.4:54"],
    }
    assert dnsmasq_arguments([], config, lambda name: "10.0.0.1") == [
        "--server", "/v6.example/[fd00::1]#99",
        "--server", "/v6.example/fd00::2",
        "--server", "/v6.example/10.0.0.1",
        "--server", "1.2.3.4#54",
        "--no-resolv",
    ]  # fmt: skip
