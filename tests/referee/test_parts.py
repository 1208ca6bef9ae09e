"""The referee's own parts that need no kernel."""

from types import SimpleNamespace

import pytest
from referee.mapped import twin
from referee.namespaces import require
from referee.seen import ANSWERED, Seen, judged
from referee.table import PROPERTY, rows

FLOW = {"name": "x", "sourceIP": "10.0.0.2", "destIP": "172.30.0.41", "destPort": 80, "protocol": "TCP"}


def test_ci_does_without_no_kernel():
    require("", in_ci=True)
    with pytest.raises(pytest.fail.Exception, match="not root"):
        require("not root", in_ci=True)
    with pytest.raises(pytest.skip.Exception, match="not root"):
        require("not root", in_ci=False)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (Seen(ANSWERED, "pods", "10.180.0.1:80", "10.0.0.2"), ("10.180.0.1:80", False)),
        (Seen(ANSWERED, "pods", "10.180.0.1:80", "198.18.0.1"), ("10.180.0.1:80", True)),
        (Seen(ANSWERED, "outside", "172.30.0.41:80", "10.0.0.2"), ("", False)),
        (Seen(ANSWERED, "node", "172.30.0.41:80", "10.0.0.2", verdict="ACCEPT"), ("ACCEPT", False)),
        (Seen("refused", refusal="unreachable, code 3, about x, by y"), ("REJECT", False)),
        (Seen("refused", refusal="reset by x"), ("reset by x", False)),
        (Seen("silence"), ("DROP", False)),
    ],
)
def test_words_of_the_cases(seen, expected):
    assert judged(seen, FLOW) == expected


def test_twin():
    proxier = {
        "ipFamily": "IPv4",
        "nodeIPs": ["192.168.0.2", "2001:db8::1"],
        "nodePortAddresses": ["192.168.0.0/24", "127.0.0.0/8"],
    }
    expect = {"output": ["10.180.0.1:80"], "masq": False}
    local = FLOW | {"sourceIP": "127.0.0.1", "destIP": "127.0.0.1"}
    case = {"id": "x", "proxier": proxier, "objects": [], "flows": [FLOW | {"expect": expect}, local]}
    mapped = twin(case)
    assert mapped["proxier"] == {
        "ipFamily": "IPv6",
        "nodeIPs": ["fd00::c0a8:2"],
        "nodePortAddresses": ["fd00::c0a8:0/120"],
    }
    (flow,) = mapped["flows"]
    assert (flow["sourceIP"], flow["destIP"]) == ("fd00::a00:2", "fd00::ac1e:29")
    assert flow["expect"]["output"] == ["[fd00::ab4:1]:80"]


def test_rows_add_up():
    given = [
        [["iptables", "all", 3, 2, 1, 0]],
        [["iptables", "all", 4, 4, 0, 1], ["nftables", "all", 1, 1, 0, 0]],
    ]
    reports = [SimpleNamespace(user_properties=[(PROPERTY, value), ("other", 1)]) for value in given]
    assert rows(reports) == [("iptables", "all", 7, 6, 1, 1), ("nftables", "all", 1, 1, 0, 0)]
