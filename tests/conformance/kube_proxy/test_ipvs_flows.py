"""The ipvs mode by upstream's facts: virtual and real servers, and every flow of the other modes' tests.

Which flows are expected to fare differently, and how, is written down in `ipvs_differences.py`.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from conformance.kube_proxy.ipvs_differences import expectation
from conformance.kube_proxy.ipvs_world import IpvsWorld

from netsim.wire.addr import ip
from netsim.wire.packet import endpoint_text


def _load(config: pytest.Config, name: str) -> Any:
    path = Path(config.getoption("--cases")) / "kube_proxy" / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per row of the case files."""
    if "servers_case" in metafunc.fixturenames:
        rows = [pytest.param(case, id=case["id"]) for case in _load(metafunc.config, "ipvs.json")]
        metafunc.parametrize("servers_case", rows)
    if "ipvs_case" in metafunc.fixturenames:
        flows = [
            pytest.param(case, flow, id=f"{case['id']}: {flow['name']}")
            for case in _load(metafunc.config, "cases.json")
            for flow in case["flows"]
        ]
        metafunc.parametrize("ipvs_case,ipvs_flow", flows)


@pytest.fixture(scope="module")
def worlds() -> dict[str, IpvsWorld]:
    """Worlds of the same case are built once."""
    return {}


def _world(worlds: dict[str, IpvsWorld], case: dict[str, Any]) -> IpvsWorld:
    if case["id"] not in worlds:
        worlds[case["id"]] = IpvsWorld(case)
    return worlds[case["id"]]


def test_virtual_servers(servers_case):
    """TestNodePortIPv4, TestNodePortIPv6, TestIPv4Proxier."""
    expected = [
        {
            "at": f"{endpoint_text(ip(row['address']), row['port'])}/{row['protocol']}",
            "by": row["scheduler"],
            "real": sorted(
                f"{endpoint_text(ip(r['address']), r['port'])} {r['weight']}" for r in row["realServers"]
            ),
        }
        for row in servers_case["expect"]["virtualServers"]
    ]
    assert IpvsWorld(servers_case).virtual_servers() == sorted(expected, key=lambda row: row["at"])


def test_flow(ipvs_case, ipvs_flow, worlds):
    """Real packets: where they go, and whether their source is rewritten."""
    world = _world(worlds, ipvs_case)
    difference, expected = expectation(world, ipvs_flow)
    assert world.ask(ipvs_flow) == expected, f"difference: {difference or 'none'}"


def test_most_flows_are_as_in_the_other_modes(root):
    """The differences are exceptions: of the project's own rows the rule of applicability leaves most as they are."""
    path = root / "tests" / "conformance" / "cases" / "kube_proxy" / "cases.json"
    found: Counter[str] = Counter()
    rows = Counter[bool]()
    for case in json.loads(path.read_text(encoding="utf-8")):
        world = IpvsWorld(case)
        for flow in case["flows"]:
            difference, expected = expectation(world, flow)
            found[difference] += 1
            output = flow["expect"]["output"]
            plain = sorted(output) if isinstance(output, list) else "" if output == "ACCEPT" else output
            rows[(plain, flow["expect"]["masq"]) == expected] += 1
    assert rows[True] >= 0.7 * rows.total(), (found, rows)
    assert set(found) == {
        "", "loopback", "wrong port", "unallocated", "source ranges", "local policy", "hairpin",
    }  # fmt: skip
