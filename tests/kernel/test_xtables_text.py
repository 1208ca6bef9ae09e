"""iptables rules as text: kube-proxy's spelling, that of `iptables-save`, and errors that name the line."""

import pytest

from netsim.kernel.xtables import Xtables, XtablesError
from netsim.kernel.xtables_parse import RuleError, parse_rule, split
from netsim.kernel.xtables_text import normal_order

# As kube-proxy writes it, and as `iptables-save` of iptables 1.8 shows it (samples of real nodes).
SPELLINGS = [
    (
        '-m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j KUBE-SVC-A',
        '-d 172.30.0.41/32 -p tcp -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp --dport 80 -j KUBE-SVC-A',
    ),
    (
        "-m comment --comment a/b -m tcp -p tcp -d 127.0.0.0/8 --dport 300 -m nfacct --nfacct-name pkts -j EXT",
        '-d 127.0.0.0/8 -p tcp -m comment --comment "a/b" -m tcp --dport 300 -m nfacct --nfacct-name  pkts -j EXT',
    ),
    ("-j MARK --or-mark 0x4000", "-j MARK --set-xmark 0x4000/0x4000"),
    ("-j MARK --xor-mark 0x4000", "-j MARK --set-xmark 0x4000/0x0"),
    ("-j MARK --and-mark 0xff", "-j MARK --set-xmark 0x0/0xffffff00"),
    ("-m mark ! --mark 0x4000/0x4000 -j RETURN", "-m mark ! --mark 0x4000/0x4000 -j RETURN"),
    ("-m mark --mark 0x1 -j RETURN", "-m mark --mark 0x1 -j RETURN"),
    ("! -s 10.0.0.0/8 -j KUBE-MARK-MASQ", "! -s 10.0.0.0/8 -j KUBE-MARK-MASQ"),
    ("! -d ::1/128 -j DROP", "! -d ::1/128 -j DROP"),
    (
        "-m statistic --mode random --probability 0.3333333333 -j A",
        "-m statistic --mode random --probability 0.33333333349 -j A",
    ),
    (
        "-m recent --name KUBE-SEP-A --rcheck --seconds 10800 --reap -j A",
        "-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-A --mask 255.255.255.255 --rsource -j A",
    ),
    (
        "-m recent --name KUBE-SEP-A --set -m tcp -p tcp -j DNAT --to-destination 10.0.1.1:80",
        "-p tcp -m recent --set --name KUBE-SEP-A --mask 255.255.255.255 --rsource"
        " -m tcp -j DNAT --to-destination 10.0.1.1:80",
    ),
    (
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
        "-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP",
    ),
    ("-m conntrack --ctstate RELATED,NEW", "-m conntrack --ctstate NEW,RELATED"),
    ("-m addrtype --src-type LOCAL -j RETURN", "-m addrtype --src-type LOCAL -j RETURN"),
    ("-m multiport --destination-ports 80,81 -p tcp -j A", "-p tcp -m multiport --dports 80,81 -j A"),
    ("-m multiport ! --destination-ports 80 -p sctp -j A", "-p sctp -m multiport ! --dports 80 -j A"),
    ("-j REJECT", "-j REJECT --reject-with icmp-port-unreachable"),
    ("-j REJECT --reject-with tcp-reset", "-j REJECT --reject-with tcp-reset"),
    ("-i cali+ ! -o eth0 -j ACCEPT", "-i cali+ ! -o eth0 -j ACCEPT"),
    ("-j MASQUERADE --random-fully", "-j MASQUERADE --random-fully"),
    ("-j SNAT --to-source 192.0.2.1", "-j SNAT --to-source 192.0.2.1"),
    (
        "-m tcp -p tcp -j DNAT --to-destination [fd00::1]:80",
        "-p tcp -m tcp -j DNAT --to-destination [fd00::1]:80",
    ),
    ("-p udp -m udp --sport 53 --dport 1024:65535", "-p udp -m udp --sport 53 --dport 1024:65535"),
]


@pytest.mark.parametrize(("written", "saved"), SPELLINGS, ids=[saved for _, saved in SPELLINGS])
def test_spellings(written, saved):
    ipv6 = "::" in written
    rule = parse_rule(split(written), ipv6)
    assert str(rule) == written
    assert rule.saved == saved
    assert parse_rule(split(saved), ipv6).saved == saved


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-j", 'option "-j" requires an argument'),
        ("--bogus 1", 'unknown option "--bogus"'),
        ("-m bogus", 'couldn\'t load match "bogus"'),
        ("-s 10.0.0.0/40", "10.0.0.0/40"),
        ("-s 10.0.0.1/8", "host bits set"),
        ("--dport 80", "a port needs -p tcp, udp or sctp"),
        ("-m multiport --dports 80", "a port needs -p tcp, udp or sctp"),
        ("-m multiport -p tcp --dports 80,x", '"x" is not a number'),
        (f"-m multiport -p tcp --dports {','.join('1' * 16)}", "too many ports specified"),
        ("-p tcp --dport 70000", "70000 is not between 0 and 65535"),
        ("-p tcp --dport 90:80", "80 is not between 90 and 65535"),
        ("-p bogus", '"bogus" is not a number'),
        ("-m conntrack --ctstate OLD", 'bad ctstate "OLD"'),
        ("-m addrtype --dst-type MULTICAST", "only LOCAL"),
        ("-m statistic --mode nth", "only random"),
        ("-m statistic --mode random --probability 2", '"2" is not a probability'),
        ("-m recent --name x --rcheck", "recent: needs --set, or --rcheck with --seconds"),
        ("--rcheck", "belongs to -m recent"),
        ("-j DNAT --to 10.0.0.1", "DNAT needs --to-destination"),
        ("-j DNAT --to-destination nowhere:80", "nowhere"),
        ("-j DNAT --to-destination 10.0.0.1:x", '"x" is not a number'),
        ("-j REJECT --reject-with nothing", 'unknown reject type "nothing"'),
        ("-j MARK --bogus 1", 'MARK: unknown option "--bogus"'),
        ('-m comment --comment "half', "no closing quotation"),
    ],
)
def test_rule_errors(text, message):
    with pytest.raises(RuleError) as error:
        parse_rule(split(text))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("-A INPUT -j DROP", 'line 1: expected "*table"'),
        ("*bogus\nCOMMIT", 'line 1: no table "bogus", only raw, mangle, nat, filter'),
        ("*nat\n*nat\nCOMMIT", "line 2: table nat has no COMMIT"),
        ("*nat\n# note\n", "table nat has no COMMIT"),
        ("*nat\n:INPUT - [0:0]\nCOMMIT", 'line 2: chain INPUT cannot have policy "-"'),
        ("*nat\n:A ACCEPT [0:0]\nCOMMIT", 'line 2: chain A cannot have policy "ACCEPT"'),
        ("*nat\n:A-CHAIN-NAME-THAT-IS-FAR-TOO-LONG - [0:0]\nCOMMIT", "line 2: a chain line is"),
        ("*nat\n\n-A NOWHERE -j ACCEPT\nCOMMIT", "line 3: no chain NOWHERE in table nat"),
        ("*nat\n-A INPUT -j NOWHERE\nCOMMIT", "line 3: line 2 jumps to NOWHERE, which does not exist"),
        ("*nat\n-A INPUT -j OUTPUT\nCOMMIT", "line 3: line 2 jumps to OUTPUT, which is built in"),
        ("*nat\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A B -j A\nCOMMIT", "makes a loop: B leads back to A"),
        (
            "*filter\n-A INPUT -j DNAT --to-destination 10.0.0.1\nCOMMIT",
            "line 2: DNAT works in table nat only",
        ),
        ("*nat\n-A INPUT -j REJECT\nCOMMIT", "line 2: REJECT works in table filter only"),
        ("*nat\n-X INPUT\nCOMMIT", "line 2: INPUT is built in and cannot be deleted"),
        (
            "*nat\n:A - [0:0]\n-A A -j RETURN\n-X A\nCOMMIT",
            "line 4: chain A is not empty and cannot be deleted",
        ),
        ("*nat\n-Q INPUT\nCOMMIT", 'line 2: unknown command "-Q"'),
        ("*nat\n-A\nCOMMIT", 'line 2: "-A" is not a command'),
    ],
)
def test_restore_errors(text, message):
    x = Xtables()
    with pytest.raises(XtablesError) as error:
        x.restore(text)
    assert message in str(error.value)
    assert x.save() == ""


def test_restore_keeps_what_it_does_not_name():
    x = Xtables()
    x.restore(
        "*nat\n:A - [0:0]\n:B - [0:0]\n-A A -j B\n-A POSTROUTING -j A\nCOMMIT\n*filter\n:FORWARD DROP [5:500]\nCOMMIT\n"
    )
    x.restore("*nat\n:A - [0:0]\n-I A 1 -j RETURN\n-A POSTROUTING -j MASQUERADE\n-F B\n-X B\nCOMMIT")
    assert x.save() == (
        "*filter\n:FORWARD DROP [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n"
        "*nat\n:A - [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
        ":PREROUTING ACCEPT [0:0]\n-A A -j RETURN\n-A POSTROUTING -j A\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n"
    )


def test_save_as_the_tool_does():
    x = Xtables()
    x.restore(
        "*nat\n:Z - [0:0]\n:A - [0:0]\n-A Z -d 10.0.0.1 -j DNAT --to-destination 10.0.0.2\n-A PREROUTING -j Z\nCOMMIT"
    )
    text = x.save(counters=True, tool=True)
    assert text == (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"
        ":A - [0:0]\n:Z - [0:0]\n[0:0] -A PREROUTING -j Z\n"
        "[0:0] -A Z -d 10.0.0.1/32 -j DNAT --to-destination 10.0.0.2\nCOMMIT\n"
    )
    again = Xtables()
    again.restore(text)
    assert again.save(counters=True, tool=True) == text


def test_normal_order():
    names = ["PREROUTING", "KUBE-SVC-A", "KUBE-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "CNI-A"]
    assert normal_order(names) == [
        "KUBE-NODEPORTS", "KUBE-SERVICES", "KUBE-FORWARD", "KUBE-SVC-A", "CNI-A", "PREROUTING",
    ]  # fmt: skip
