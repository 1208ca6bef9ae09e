"""The `recent` list: renewal, expiry, the limit."""

from netsim.kernel.xtables_recent import IP_LIST_TOTAL, RecentList
from netsim.wire.addr import ip


def test_seen_within_the_time():
    recent = RecentList()
    recent.stamp(ip("10.0.0.1"), 100)
    assert recent.seen(ip("10.0.0.1"), 100, reap=False)
    assert not recent.seen(ip("10.0.0.1"), 101, reap=False)
    assert not recent.seen(ip("10.0.0.2"), 0, reap=False)


def test_reap_forgets_what_is_older():
    recent = RecentList()
    recent.stamp(ip("10.0.0.1"), 100)
    recent.stamp(ip("10.0.0.2"), 200)
    recent.stamp(ip("10.0.0.1"), 300)  # renewed: now the younger one
    assert recent.seen(ip("10.0.0.1"), 250, reap=True)
    assert ip("10.0.0.2") not in recent
    assert len(recent) == 1


def test_full_list_forgets_the_least_recent():
    recent = RecentList()
    addresses = [ip(f"10.0.{n >> 8}.{n & 255}") for n in range(IP_LIST_TOTAL + 1)]
    for at, address in enumerate(addresses[:-1]):
        recent.stamp(address, at)
    recent.stamp(addresses[0], 1000)
    recent.stamp(addresses[-1], 1001)
    assert len(recent) == IP_LIST_TOTAL
    assert addresses[0] in recent
    assert addresses[1] not in recent
