"""The real kernel's word for our rules.

Every case of tests/conformance/cases/kube_proxy (or of `--cases DIR`) is replayed with real packets: the rules that our
dataplane renders are loaded by the real `iptables-restore` or `nft` into a node that is a network namespace, and each
flow is tried from a pod, from the node or from outside. Who answered, as whom the client was seen, and who refused how
must be the same as in the simulator, and what upstream expects. Cases of IPv4 are replayed in IPv6 too
(`mapped.py`).

`plan.py` draws the network, `real.py` and `simulated.py` are its two sides, `compare.py` compares, `table.py` prints
the agreements at the end of the run. Needs root, network namespaces, and iptables, nftables, iproute2 and conntrack of
Debian; without them the tests are skipped, saying why, but fail where CI=true. Traffic stays in namespaces that are made
here and removed by name. SCTP is sent by raw sockets, since not every kernel has SCTP.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest
from referee.backends import BACKENDS
from referee.mapped import family_of, twin
from referee.namespaces import missing


@functools.cache
def _missing() -> str:
    return missing()


@pytest.fixture(autouse=True)
def _referee() -> None:
    """Skip, or in CI fail, where there is no referee."""
    reason = _missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"the real kernel has to be asked in CI: {reason}")
    if reason:
        pytest.skip(f"the real kernel cannot be asked: {reason}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`-m referee` picks these tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("referee")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per case and address family."""
    if "case" in metafunc.fixturenames:
        path = Path(metafunc.config.getoption("--cases")) / "kube_proxy" / "cases.json"
        cases: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
        known = [case for case in cases if case["proxier"]["backend"] in BACKENDS]
        known += [twin(case) for case in known if family_of(case) == 4]
        rows = [
            pytest.param(case, family_of(case), id=f"{case['id']}, IPv{family_of(case)}") for case in known
        ]
        metafunc.parametrize(("case", "family"), rows)
