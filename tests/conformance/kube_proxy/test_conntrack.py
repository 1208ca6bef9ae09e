"""Which conntrack entries kube-proxy deletes: upstream's TestCleanStaleEntries and TestServiceWithoutEndpoints."""

from types import SimpleNamespace

from netsim.cluster.proxy_conntrack import delete_stale
from netsim.dataplane.service_table import PROTOCOL_NUMBERS
from netsim.kernel import nat
from netsim.kernel.conntrack import Conntrack, Entry
from netsim.kernel.sysctl import S, Sysctl
from netsim.wire.addr import ip
from netsim.wire.packet import Flow

ANY = "192.168.0.2"  # a nodePort entry may have any destination


def test_cleanup(conntrack_case, translate):
    table = translate(conntrack_case["objects"])
    conntrack = Conntrack(Sysctl())
    entries = [_entry(row, sport) for sport, row in enumerate(conntrack_case["entries"], start=20000)]
    for entry in entries:
        assert conntrack.confirm(entry, 0)
    delete_stale(SimpleNamespace(conntrack=conntrack), table, tuple(table), "reconcile-skip-empty", 0)
    left = set(map(id, conntrack.entries(0)))
    wrong = [
        row
        for row, entry in zip(conntrack_case["entries"], entries, strict=True)
        if row["deleted"] is (id(entry) in left)
    ]
    assert wrong == []


def _entry(row, sport):
    """The translated connection; its endpoint listens on the port that the destination has."""
    flow = Flow(
        ip("10.0.0.9"),
        ip(row["origDst"] or ANY),
        sport,
        row["origDstPort"],
        PROTOCOL_NUMBERS[row["protocol"]],
    )
    entry = Entry(flow, 0)
    entry.expires_ns = 60 * S
    nat.dnat(entry, ip(row["replySrc"]), 8000)
    return entry
