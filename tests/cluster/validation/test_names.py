"""Names, ports and addresses, as the API server judges them (cases of apimachinery's validation_test.go)."""

from collections.abc import Callable, Iterator

import pytest

from netsim.cluster.validation import names

Check = Callable[[str], Iterator[str]]


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (names.dns1123_label, ["a", "0-a", "a" * 63], ["", "A", "-a", "a-", "a.b", "a_b", "a" * 64]),
        (names.dns1035_label, ["a", "a-0"], ["0a", "", "a.b", "A"]),
        (names.dns1123_subdomain, ["a", "a.b-c.d", "1.2"], ["", "a..b", ".a", "a.", "A.b", "a_b", "a" * 254]),
        (names.wildcard_subdomain, ["*.a", "*.a.b"], ["*", "a.*", "**.a", "*.", "*.A", "a", "*a.b"]),
        (names.port_name, ["http", "a-1", "1a"], ["", "1", "a--b", "-a", "a-", "A", "a_b", "a" * 16]),
        (names.qualified_name, ["a", "A_b.c", "a.b/C-d", "http"], ["", "a/", "/a", "A/b", "-a", "a b", "a/b/c"]),
        (names.address, ["10.0.0.1", "::1", "fd00::"], ["", "10.0.0", "10.0.0.256", "a", "10.0.0.0/8"]),
        (names.cidr, ["10.0.0.0/8", "10.0.0.1/8", "fd00::/64"], ["10.0.0.0", "10.0.0.0/33", "a/8", ""]),
        (names.non_special, ["10.0.0.1", "224.1.0.1", "x"],
         ["127.9.9.9", "::1", "0.0.0.0", "::", "169.254.1.1", "fe80::1", "224.0.0.7", "ff02::1"]),
    ],
)  # fmt: skip
def test_texts(check: Check, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if list(check(text))] == []
    assert [text for text in bad if not list(check(text))] == []


def test_each_problem_is_said() -> None:
    assert list(names.port_name("-A--")) == [
        "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)",
        "must contain at least one letter (a-z)",
        "must not contain consecutive hyphens",
        "must not begin or end with a hyphen",
    ]
    assert list(names.address("fd00::1", 4)) == ["must be a valid IPv4 address"]
    assert [list(names.port_number(n)) for n in (0, 1, 65535, 65536)] == [
        [names.PORT_NUMBER], [], [], [names.PORT_NUMBER],
    ]  # fmt: skip
