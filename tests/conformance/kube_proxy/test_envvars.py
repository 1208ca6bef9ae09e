"""The kubelet's Service environment variables (`CASES/kube_proxy/envvars.json`)."""

import json
from pathlib import Path
from typing import Any

import pytest

from netsim.cluster.kubelet.envvars import from_services
from netsim.cluster.objects import Service


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        path = Path(metafunc.config.getoption("--cases")) / "kube_proxy" / "envvars.json"
        rows = json.loads(path.read_text()) if path.is_file() else []
        metafunc.parametrize("row", rows, ids=[row["id"] for row in rows])


def test_row(row: dict[str, Any]) -> None:
    services = [Service.model_validate(raw) for raw in row["objects"]]
    wanted = [(entry["name"], entry["value"]) for entry in row["expect"]["env"]]
    assert from_services(services) == wanted
