"""Runs kube-proxy's facts (`CASES/kube_proxy/*.json`, see the README there) against our dataplanes; `tests/proxylab.py`
names those, `tests/caselab.py` makes the worlds of the cases."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from caselab import ScratchNode, World, build, journey, node_view, service_table, summary
from proxylab import DATAPLANES

from netsim.dataplane.service_table import ServiceTable
from netsim.kernel.xtables_outcomes import Outcome
from netsim.wire.addr import ip


def _load(config: pytest.Config, name: str) -> Any:
    path = Path(config.getoption("--cases")) / "kube_proxy" / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


def _cases_of(config: pytest.Config) -> Iterator[tuple[dict[str, Any], str]]:
    """Each case with each dataplane."""
    return ((case, backend) for case in _load(config, "cases.json") for backend in DATAPLANES)


def _flows(config: pytest.Config) -> list[Any]:
    return [
        pytest.param(case, flow, backend, id=f"{backend}: {case['id']}: {flow['name']}")
        for case, backend in _cases_of(config)
        for flow in case["flows"]
    ]


def _device_flows(config: pytest.Config) -> list[Any]:
    """Flows whose first packet comes in by a device: their source is not an address of the node."""
    return [row for row in _flows(config) if not _from_node(*row.values[:2])]


def _from_node(case: dict[str, Any], flow: dict[str, Any]) -> bool:
    view = node_view(case["proxier"], case["objects"])
    return ScratchNode(view).is_local(ip(flow["sourceIP"]))


def _cases(config: pytest.Config) -> list[Any]:
    return [pytest.param(case, backend, id=f"{backend}: {case['id']}") for case, backend in _cases_of(config)]


def _named(name: str, key: str | None = None) -> Callable[[pytest.Config], list[Any]]:
    def rows(config: pytest.Config) -> list[Any]:
        data = _load(config, name)
        listed = data if key is None else data.get(key, []) if isinstance(data, dict) else []
        return [pytest.param(row, id=row["id"]) for row in listed]

    return rows


def _sequences(config: pytest.Config) -> list[Any]:
    """Dumps that are steps of one history, and single ones."""
    histories: dict[str, list[Any]] = {}
    data = _load(config, "rules.json")
    for dump in data["rules"] if data else []:
        name = dump["id"].rsplit("/step-", 1)[0]
        histories.setdefault(name, []).append(dump)
    return [
        pytest.param(history, at, id=d["id"])
        for history in histories.values()
        for at, d in enumerate(history)
    ]


def _probabilities(config: pytest.Config) -> list[Any]:
    data = _load(config, "rules.json")
    return list(data["probability"].items()) if data else []


def _conntrack(config: pytest.Config) -> list[Any]:
    return [
        pytest.param(c, id=c["id"])
        for c in _load(config, "conntrack.json")
        if "entries" in c and "objects" in c
    ]


SOURCES: dict[tuple[str, ...], Callable[[pytest.Config], list[Any]]] = {
    ("case", "flow", "backend"): _flows,
    ("device_case", "device_flow", "device_backend"): _device_flows,
    ("whole_case", "case_backend"): _cases,
    ("history", "step"): _sequences,
    ("snippet",): _named("rules.json", "snippets"),
    ("count", "text"): _probabilities,
    ("topology",): _named("topology.json"),
    ("conntrack_case",): _conntrack,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per row of the case files."""
    for names, rows in SOURCES.items():
        if names[0] in metafunc.fixturenames:
            metafunc.parametrize(",".join(names) if len(names) > 1 else names[0], rows(metafunc.config))


@pytest.fixture(scope="session")
def build_world() -> Callable[..., World]:
    """Makes the world of a case; worlds of the same case are built once."""
    known: dict[tuple[str, str], World] = {}

    def make(case: dict[str, Any], backend: str = "iptables", sync: bool = True) -> World:
        if not sync:
            return build(case, sync=False, backend=backend)
        key = case["id"], backend
        if key not in known:
            known[key] = build(case, backend=backend)
        return known[key]

    return make


@pytest.fixture(scope="session")
def translate() -> Callable[..., ServiceTable]:
    """Manifests to table."""
    return service_table


@pytest.fixture(scope="session")
def summarise() -> Callable[[list[Outcome]], tuple[str | list[str], bool]]:
    """Outcomes in the words of the cases."""
    return summary


@pytest.fixture(scope="session")
def tell() -> Callable[[list[Outcome]], str]:
    """Outcomes as text, for a failure."""
    return journey
