"""Settings by their sysctl names."""

from dataclasses import fields

import pytest

from netsim.kernel.sysctl import SETTABLE, S, Sysctl, with_settings


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("net.ipv4.tcp_retries2", "8", "tcp_retries2", 8),
        ("net.ipv4.tcp_syn_retries", "2", "tcp_syn_retries", 2),
        ("net.ipv4.tcp_fin_timeout", "30", "tcp_fin_timeout_ns", 30 * S),
        ("net.ipv4.tcp_keepalive_time", "600", "tcp_keepalive_time_ns", 600 * S),
        ("net.ipv4.ip_local_port_range", "1024\t2047", "ip_local_port_range", (1024, 2047)),
    ],
)
def test_a_setting(name: str, value: str, field: str, expected: object) -> None:
    changed = with_settings(Sysctl(), {name: value})
    assert getattr(changed, field) == expected
    others = [known.name for known in fields(Sysctl) if known.name != field]
    assert all(getattr(changed, other) == getattr(Sysctl(), other) for other in others)


def test_what_has_no_effect_changes_nothing() -> None:
    base = Sysctl(tcp_syn_linear_timeouts=0)
    assert with_settings(base, {"kernel.shm_rmid_forced": "1"}) is base


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("net.ipv4.tcp_retries2", "-1"),
        ("net.ipv4.tcp_retries2", "256"),
        ("net.ipv4.tcp_retries2", "many"),
        ("net.ipv4.tcp_syn_retries", "0"),
        ("net.ipv4.tcp_keepalive_probes", "128"),
        ("net.ipv4.ip_local_port_range", "60000"),
        ("net.ipv4.ip_local_port_range", "60000 50000"),
        ("net.ipv4.ip_local_port_range", "0 100"),
    ],
)
def test_values_that_the_kernel_refuses(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=value.split(maxsplit=1)[0]):
        with_settings(Sysctl(), {name: value})


def test_every_name_is_a_field() -> None:
    known = {field.name for field in fields(Sysctl)}
    assert all(field in known for field, _, _, _ in SETTABLE.values())
    defaults = Sysctl()
    assert all(
        low * scale <= getattr(defaults, field) <= high * scale
        for field, low, high, scale in SETTABLE.values()
    )
