"""resolv_conf.json: the kubelet's resolv.conf (see cases/dns/README.md)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from netsim.cluster.dns.resolvconf import (
    DnsEvent,
    SearchLimits,
    fit_nameservers,
    fit_searches,
    merge_options,
    parse_resolv_conf,
    pod_resolv_conf,
    policy_type,
    validate_pod_dns,
)
from netsim.cluster.objects import ObjectMeta, Pod, PodDNSConfig, PodSpec

OLD_KUBELET = "04791b49"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    file = Path(metafunc.config.getoption("--cases")) / "dns" / "resolv_conf.json"
    kind = metafunc.function.__name__.removeprefix("test_")
    cases = [case for case in json.loads(file.read_text()) if case["kind"] == kind] if file.exists() else []
    metafunc.parametrize("case", cases, ids=[case["id"] for case in cases])


def same(found: tuple[str, ...], expect: Mapping[str, Any], key: str) -> bool:
    if key == "options" and not expect.get("optionsOrdered", True):
        return sorted(found) == sorted(expect[key])
    return list(found) == expect[key]


def test_parse(case: Mapping[str, Any]) -> None:
    text, expect = case["input"]["resolvConf"], case["expect"]
    legacy = OLD_KUBELET in case["versions"]
    if expect.get("error"):
        with pytest.raises(ValueError, match="nameserver"):
            parse_resolv_conf(text, legacy=legacy)
        return
    conf = parse_resolv_conf(text, legacy=legacy)
    assert all(same(getattr(conf, key), expect, key) for key in ("nameservers", "searches", "options")), conf


def test_podDNS(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    node_conf = None
    if given["nodeResolvConf"] is not None:
        node_conf = parse_resolv_conf(given["nodeResolvConf"], legacy=OLD_KUBELET in case["versions"])
    config = PodDNSConfig.model_validate(given["dnsConfig"]) if given["dnsConfig"] is not None else None
    pod = Pod(
        metadata=ObjectMeta(name="pod", namespace=given["namespace"]),
        spec=PodSpec(
            containers=(), dnsPolicy=given["dnsPolicy"], hostNetwork=given["hostNetwork"], dnsConfig=config
        ),
    )
    events: list[DnsEvent] = []
    conf = pod_resolv_conf(
        pod, given["clusterDNS"], given["clusterDomain"], node_conf, given["nodeIPs"], events.append
    )
    assert all(same(getattr(conf, key), expect, key) for key in ("nameservers", "searches", "options")), conf
    assert [event.reason for event in events] == expect["events"]


def as_rows(events: list[DnsEvent]) -> dict[str, str] | None:
    """The event as the data have it."""
    assert len(events) <= 1
    return {"type": "Warning", **events[0]._asdict()} if events else None


def test_searchLimits(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    limits = SearchLimits(given["maxPaths"], given["maxListChars"], given["maxPathChars"])
    events: list[DnsEvent] = []
    assert list(fit_searches(given["searches"], events.append, limits)) == expect["searches"]
    assert as_rows(events) == expect["event"]


def test_nameserverLimits(case: Mapping[str, Any]) -> None:
    events: list[DnsEvent] = []
    found = fit_nameservers(case["input"]["nameservers"], events.append)
    assert list(found) == case["expect"]["nameservers"]
    assert as_rows(events) == case["expect"]["event"]


def test_mergeOptions(case: Mapping[str, Any]) -> None:
    more = [
        f"{option['name']}:{option['value']}" if option.get("value") else option["name"]
        for option in case["input"]["dnsConfigOptions"] or ()
    ]
    assert same(merge_options(case["input"]["existing"], more), case["expect"], "options")


def test_policyType(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    if expect.get("error"):
        with pytest.raises(ValueError, match="DNSPolicy"):
            policy_type(given["dnsPolicy"], host_network=given["hostNetwork"])
    else:
        assert policy_type(given["dnsPolicy"], host_network=given["hostNetwork"]) == expect["type"]


def test_validation(case: Mapping[str, Any]) -> None:
    given, expect = case["input"], case["expect"]
    config = PodDNSConfig.model_validate(given["dnsConfig"]) if given["dnsConfig"] is not None else None
    errors = validate_pod_dns(given["dnsPolicy"], config)
    assert (not errors) == expect["valid"], errors
    assert expect.get("message") in (None, *errors)
