"""The addresses that a service controller hands out."""

import pytest

from netsim.cluster.controllers.service_lb import Addresses
from netsim.wire.addr import Prefix

A, B, C, D = (("default", name) for name in "abcd")


@pytest.fixture
def addresses() -> Addresses:
    return Addresses(Prefix.parse("203.0.113.128/31"))


def test_in_order_and_kept(addresses: Addresses) -> None:
    assert [addresses.of(key, "") for key in (A, B, A, C)] == [
        "203.0.113.128",
        "203.0.113.129",
        "203.0.113.128",
        "",
    ]
    assert [addresses.holds(key) for key in (A, B, C)] == [True, True, False]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("203.0.113.129", "203.0.113.129"),
        ("203.0.113.128", ""),  # somebody has it
        ("203.0.113.130", ""),  # outside the range
    ],
)
def test_an_address_that_is_asked_for(addresses: Addresses, wanted: str, found: str) -> None:
    addresses.of(A, "")
    assert addresses.of(B, wanted) == found
    assert addresses.holds(B) == bool(found)


def test_a_change_of_mind_frees_the_old_one(addresses: Addresses) -> None:
    assert addresses.of(A, "") == "203.0.113.128"
    assert addresses.of(A, "203.0.113.129") == "203.0.113.129"
    assert addresses.of(B, "") == "203.0.113.128"
    addresses.release(B)
    assert addresses.of(D, "") == "203.0.113.128"
