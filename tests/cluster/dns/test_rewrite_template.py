"""The plugins rewrite and template, each behind a real Corefile."""

import pytest

from netsim.cluster.dns.chain import Request
from netsim.cluster.dns.corefile import CorefileError
from netsim.cluster.dns.dry_run import check_corefile
from netsim.wire.dns import AAAA, MX, NOERROR, NXDOMAIN, REFUSED, SERVFAIL, A, Record, Reply, ask

HOSTS = """
    hosts {
        10.0.0.1 web.example.org
        10.0.0.2 api.internal.example.org
        2001:db8::1 six.example.org
    }
"""


def answer(lines: str, name: str, qtype: int = A) -> Reply:
    """What a server with these lines before the hosts says."""
    made = check_corefile(f".:53 {{\n{lines}\n{HOSTS}\n}}", {})
    found: list[Reply] = []
    made.ports[53].serve(Request(ask(name, qtype)), lambda reply, _until: found.append(reply))
    [reply] = found
    return reply


def records(lines: str, name: str, qtype: int = A) -> list[tuple[str, str]]:
    return [(record.name, record.data) for record in answer(lines, name, qtype).answer]


@pytest.mark.parametrize(
    ("rule", "asked", "owner"),
    [
        ("rewrite name old.example.org web.example.org", "old.example.org.", "old.example.org."),
        ("rewrite name exact Old.Example.org web.example.org", "OLD.example.org.", "OLD.example.org."),
        ("rewrite name prefix old- web", "old-.example.org.", "web.example.org."),
        ("rewrite name suffix .local .org", "web.example.local.", "web.example.org."),
        ("rewrite name suffix .local .org answer auto", "web.example.local.", "web.example.local."),
        ("rewrite name substring sample example", "web.sample.org.", "web.example.org."),
        ("rewrite name regex (.*)\\.shop\\.org {1}.example.org", "web.shop.org.", "web.example.org."),
        (
            "rewrite name regex (.*)\\.shop\\.org {1}.example.org answer name (.*)\\.example\\.org\\.? {1}.shop.org",
            "web.shop.org.",
            "web.shop.org.",
        ),
        ("rewrite {\n name suffix .local .org\n answer auto\n }", "web.example.local.", "web.example.local."),
        (
            "rewrite continue name suffix .a .b\nrewrite stop name suffix .b .org",
            "web.example.a.",
            "web.example.org.",
        ),
    ],
)
def test_names_are_rewritten_there_and_back(rule: str, asked: str, owner: str) -> None:
    assert records(rule, asked) == [(owner, "10.0.0.1")]


def test_the_first_rule_that_matches_is_the_last() -> None:
    rules = (
        "rewrite name a.example.org web.example.org\nrewrite name web.example.org api.internal.example.org"
    )
    assert [data for _, data in records(rules, "a.example.org.")] == ["10.0.0.1"]


def test_other_names_and_types() -> None:
    assert answer("rewrite name a.example.org web.example.org", "b.example.org.").rcode == NXDOMAIN
    assert records("rewrite type MX A", "web.example.org.", MX) == [("web.example.org.", "10.0.0.1")]
    assert records("rewrite type A AAAA", "six.example.org.") == [("six.example.org.", "2001:db8::1")]


TEMPLATE = """
    template IN A node.example {
        match "^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)-([0-9]+)-([0-9]+)[.]node[.]example[.]$"
        answer "{{ .Name }} 60 IN A {{ .Group.a }}.{{ .Group.b }}.{{ index .Match 3 }}.{{ index .Match 4 }}"
    }
    template IN ANY blocked.example {
        rcode NXDOMAIN
        authority "{{ .Zone }} 60 IN SOA ns.{{ .Zone }} admin.{{ .Zone }} 1 60 60 60 60"
    }
"""


def test_template() -> None:
    reply = answer(TEMPLATE, "ip-10-1-2-3.node.example.")
    assert reply.answer == (Record("ip-10-1-2-3.node.example.", A, 60, "10.1.2.3"),)
    assert (reply.rcode, reply.authoritative) == (NOERROR, True)
    assert answer(TEMPLATE, "other.node.example.").rcode == SERVFAIL  # the zone's, but no expression matches
    assert answer(TEMPLATE, "ip-10-1-2-300.node.example.").rcode == SERVFAIL  # makes no address
    assert answer(TEMPLATE, "ip-10-1-2-3.node.example.", AAAA).rcode == NXDOMAIN  # on to the hosts
    blocked = answer(TEMPLATE, "x.blocked.example.", MX)
    assert (blocked.rcode, blocked.authority[0].name) == (NXDOMAIN, "blocked.example.")
    falls = TEMPLATE.replace('answer "{{ .Name }}', 'fallthrough\n        answer "{{ .Name }}')
    assert answer(falls, "other.node.example.").rcode == NXDOMAIN


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("rewrite name a", 2, "takes FROM and TO"),
        ("rewrite name regex ( b", 2, "no regular expression"),
        ("rewrite edns0 local set 0xffee abc", 2, "not modelled"),
        ("rewrite name a b answer", 2, "answer name takes FROM and TO"),
        ("rewrite name a b c", 2, "after FROM and TO"),
        ("rewrite type A NOPE", 2, "no record type"),
        ("template CH A", 2, "takes a class"),
        ("template IN A {\n match (\n }", 2, "match:"),
        ("template IN A {\n reply x\n }", 3, "'reply' is unknown"),
        ("template IN A {\n rcode NOPE\n }", 2, "template"),
        ("kubernets cluster.local", 2, "did you mean kubernetes?"),
        ("bind eth0", 2, "only addresses are modelled"),
        ("bind", 2, "bind takes addresses"),
        ("forward .", 2, "a zone and at least one server"),
    ],
)
def test_what_coredns_refuses_is_said_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(CorefileError) as caught:
        check_corefile(f".:53 {{\n{text}\n}}\n", {})
    [problem] = caught.value.problems
    assert problem.line == line
    assert words in problem.message


def test_bind_is_where_it_listens() -> None:
    made = check_corefile(
        "a.org:53 {\n bind 127.0.0.1 ::1\n}\nb.org:53 {\n bind 127.0.0.1\n}\nc.org:54 {\n}\n", {}
    )
    assert made.binds == {53: (b"\x7f\0\0\x01", bytes(15) + b"\x01")}


def test_a_name_of_no_block_is_refused() -> None:
    made = check_corefile("a.org:53 {\n}\n", {})
    found: list[int] = []
    made.ports[53].serve(Request(ask("b.org.", A)), lambda reply, _until: found.append(reply.rcode))
    assert found == [REFUSED]
