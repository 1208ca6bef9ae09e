"""Corefiles: kubeadm's and those of the plugins' READMEs are read; mistakes are told with their lines."""

from collections.abc import Callable
from random import Random

import pytest

from netsim.cluster.dns.build import Configuration, Surroundings, build
from netsim.cluster.dns.chain import Request
from netsim.cluster.dns.corefile import CorefileError, Directive, parse_corefile
from netsim.cluster.dns.exchange import Done
from netsim.cluster.dns.manifests import corefile
from netsim.cluster.dns.resolvconf import ResolvConf
from netsim.cluster.dns.world import World
from netsim.cluster.objects.registry import parse_object
from netsim.engine import S
from netsim.wire.addr import Address, ip_text
from netsim.wire.dns import NOERROR, NXDOMAIN, REFUSED, SERVFAIL, A, Record, Reply, ask
from netsim.wire.dns_codec import DnsCodec


class Silence:
    """Nobody answers; notes who was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def exchange(
        self, server: Address, port: int, tail: bytes, timeout_ns: int, done: Done, *, over_tcp: bool = False
    ) -> None:
        self.asked.append(f"{ip_text(server)}:{port}")
        done(None, 100 * S)

    def call_later(self, delay_ns: int, function: Callable[[], None]) -> None:
        """Health checks are not wanted here."""


def built(text: str, outside: Silence | None = None, **files: str) -> Configuration:
    world = World()
    world.put(parse_object({"kind": "Namespace", "metadata": {"name": "shop"}}), 0)
    world.put(parse_object({
        "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80}]},
    }), 0)  # fmt: skip
    world.synced = True
    mounted = {f"/etc/coredns/{name}": content for name, content in files.items()}
    around = Surroundings(
        world, DnsCodec(), Random(1), outside or Silence(), (), ResolvConf(("192.0.2.53",)), mounted
    )
    return build(text, around)


def reply(configuration: Configuration, name: str, qtype: int = A, port: int = 53) -> Reply:
    replies: list[Reply] = []
    configuration.ports[port].serve(Request(ask(name, qtype)), lambda found, _until: replies.append(found))
    [found] = replies
    return found


@pytest.mark.parametrize("version", [(1, 29), (1, 34)])
def test_kubeadms_corefile(version: tuple[int, int]) -> None:
    configuration = built(corefile(version=version))
    assert list(configuration.ports) == [53]
    assert (configuration.health_port, configuration.ready_port) == (8080, 8181)
    assert configuration.lameduck_ns == 5 * S
    assert configuration.needs_api
    assert not configuration.needs_pods
    found = reply(configuration, "web.shop.svc.cluster.local.")
    assert found.answer == (Record("web.shop.svc.cluster.local.", A, 30, "10.96.0.7"),)
    assert reply(configuration, "nope.shop.svc.cluster.local.").rcode == NXDOMAIN


def test_names_outside_go_to_the_pods_own_name_servers() -> None:
    outside = Silence()
    assert reply(built(corefile(), outside), "www.example.com.").rcode == SERVFAIL
    assert set(outside.asked) == {"192.0.2.53:53"}


def test_the_longest_zone_decides_between_server_blocks() -> None:
    outside = Silence()
    text = ".:53 {\n forward . 10.0.0.1\n}\ncorp.example, lab:5353 {\n forward . 10.0.0.2:99\n}\n"
    configuration = built(text, outside)
    assert set(configuration.ports) == {53, 5353}
    reply(configuration, "a.corp.example.")
    reply(configuration, "xcorp.example.")
    assert set(outside.asked[:1]) == {"10.0.0.2:99"}
    assert "10.0.0.1:53" in outside.asked
    assert reply(configuration, "a.b.", port=5353).rcode == REFUSED


def test_the_order_of_plugins_is_not_that_of_the_file() -> None:
    text = ".:53 {\n forward . 10.0.0.1\n hosts {\n 1.2.3.4 a.example\n fallthrough\n }\n cache\n}"
    outside = Silence()
    configuration = built(text, outside)
    assert reply(configuration, "A.example.").answer == (Record("A.example.", A, 3600, "1.2.3.4"),)
    assert not outside.asked
    assert reply(configuration, "b.example.").rcode == SERVFAIL


def test_a_zone_file_of_the_config_map() -> None:
    zone = (
        "@ 300 IN SOA ns admin 1 2 3 4 5\n@ 300 IN NS ns\nwww 60 IN A 192.0.2.1\n"
        "*.apps 60 IN CNAME www\na.b 60 IN A 192.0.2.2\n"
    )
    configuration = built(".:53 {\n file /etc/coredns/db corp.example\n}", db=zone)
    assert reply(configuration, "www.corp.example.").answer[0].data == "192.0.2.1"
    assert [r.data for r in reply(configuration, "x.apps.corp.example.").answer] == [
        "www.corp.example.", "192.0.2.1",
    ]  # fmt: skip
    assert reply(configuration, "nope.corp.example.").rcode == NXDOMAIN
    inner = reply(configuration, "b.corp.example.")
    assert (inner.rcode, inner.answer, len(inner.authority)) == (NOERROR, (), 1)


def test_snippets_comments_and_quotes() -> None:
    text = (
        '# all of it\n(common) {\n  errors # here\n  cache 10\n}\n. {\n  import common\n  "whoami" "a b"\n}\n'
    )
    [block] = parse_corefile(text)
    assert block.directives == (
        Directive(3, "errors"), Directive(4, "cache", ("10",)), Directive(8, "whoami", ("a b",)),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        (".:53 {\n", [(1, "not closed")]),
        ("{\n}", [(1, "needs a zone")]),
        (". {\n nonesuch\n dns64\n}", [(2, "not modelled"), (3, "not modelled")]),
        (". {\n kubernetes {\n  ttl 3601\n }\n}", [(3, "ttl needs a number from 0 to 3600")]),
        (". {\n kubernetes {\n  ttl -1\n }\n}", [(3, "ttl needs a number")]),
        (". {\n kubernetes {\n  pods sometimes\n }\n cache x y {\n  success\n }\n}",
         [(3, "pods is one of"), (6, "success takes CAPACITY")]),
        (". {\n kubernetes {\n  podz verified\n }\n}", [(3, "'podz' is unknown")]),
        (". {\n forward .\n}", [(2, "at least one server")]),
        (". {\n forward . example.com\n}", [(2, "not an address")]),
        (". {\n loadbalance weighted f\n}", [(2, "round_robin")]),
        (". {\n autopath /etc/resolv.conf\n}", [(2, "@kubernetes")]),
        (". {\n health {\n  lameduck soon\n }\n}", [(3, "not a duration")]),
        (". {\n file nothere\n}", [(2, "no such file: nothere (mounted: none)")]),
        (". {\n}\n.:53 {\n}", [(3, "zone . is defined twice on port 53")]),
        ("tls://. {\n}", [(1, "only plain DNS")]),
        (". {\n import missing\n}", [(2, "no snippet 'missing'")]),
        (". {\n cache 30 {\n  disable everything\n }\n}", [(3, "disable takes success or denial")]),
    ],
)  # fmt: skip
def test_mistakes(text: str, problems: list[tuple[int, str]]) -> None:
    with pytest.raises(CorefileError) as caught:
        built(text)
    found = caught.value.problems
    assert [line for line, _ in found] == [line for line, _ in problems]
    for (_, message), (_, wanted) in zip(found, problems, strict=True):
        assert wanted in message
