"""The real kernel's word for our rules.

Every case of tests/conformance/cases/kube_proxy (or of `--cases DIR`) is replayed with real packets: the rules that our
dataplane renders are loaded by the real `iptables-restore` or `nft` into a node that is a network namespace, and each
flow is tried from a pod, from the node or from outside. Who answered, as whom the client was seen, and who refused how
must be the same as in the simulator, and what upstream expects. Cases of IPv4 are replayed in IPv6 too
(`mapped.py`).

`plan.py` draws the network, `real.py` and `simulated.py` are its two sides, `compare.py` compares, `table.py` prints
the agreements at the end of the run. Needs root, network namespaces, and iptables, nftables, iproute2 and conntrack of
Debian; without them the tests are skipped, saying why, but fail where CI=true. Traffic stays in namespaces that are
made here and removed by name. SCTP is sent by raw sockets, since not every kernel has SCTP.
"""

import functools
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from referee.backends import BACKENDS
from referee.mapped import family_of, twin
from referee.namespaces import missing, require
from referee.network import RealNetwork


@pytest.fixture(scope="session")
def networks() -> Iterator[Callable[[int], RealNetwork]]:
    """The real network of a family, made when it is first asked for. Without a kernel to ask a test is skipped, or in
    CI fails."""
    require(missing(), in_ci=bool(os.environ.get("CI")))
    with ExitStack() as stack:

        @functools.cache
        def network(family: int) -> RealNetwork:
            made = RealNetwork(family)
            stack.callback(made.close)
            return made

        yield network


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m referee` picks these tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("referee")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per case, address family and mode of kube-proxy."""
    if "case" not in metafunc.fixturenames:
        return
    path = Path(metafunc.config.getoption("--cases")) / "kube_proxy" / "cases.json"
    cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    cases += [twin(case) for case in cases if family_of(case) == 4]
    rows = [
        pytest.param(case, family, mode, id=f"{mode}, IPv{family}: {case['id']}")
        for case in cases
        for family in (family_of(case),)
        for mode in BACKENDS
    ]
    metafunc.parametrize(("case", "family", "mode"), rows)
