"""Variants: field paths, what they change, and the results side by side."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import netsim
from netsim.experiment.comparison import Comparison
from netsim.experiment.errors import SpecErrors
from netsim.experiment.loader import load_experiment
from netsim.experiment.loader_variants import FieldPathError, field_path, with_field

SPEC = {"load": [{"name": "a", "rate": "1/s"}, {"name": "b"}], "duration": "5s"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("duration", {**SPEC, "duration": 1}),
        ("load[0].rate", {**SPEC, "load": [{"name": "a", "rate": 1}, {"name": "b"}]}),
        ("load[b].rate", {**SPEC, "load": [SPEC["load"][0], {"name": "b", "rate": 1}]}),
        ("links.default.delay", {**SPEC, "links": {"default": {"delay": 1}}}),
    ],
)
def test_a_field_is_set_in_a_copy(path: str, expected: Any) -> None:
    before = json.dumps(SPEC)
    assert with_field(SPEC, list(field_path(path)), 1) == expected
    assert json.dumps(SPEC) == before


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("load[2].rate", r"no entry \[2\]: the list has 2"),
        ("load[c].rate", r'no entry is called "c" \(there: a, b\)'),
        ("load.a", "is no mapping"),
        ("duration[0]", "is no list"),
        ("load[", "no field path"),
        ("a..b", "no field path"),
    ],
)
def test_paths_that_lead_nowhere(path: str, why: str) -> None:
    with pytest.raises(FieldPathError, match=why):
        with_field(SPEC, list(field_path(path)), 1)


TOPOLOGY = """
apiVersion: netsim/v1
kind: Cluster
metadata: {name: small}
spec: {nodes: [{role: control-plane}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: nginx, ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, labels: {app: client}}
spec: {containers: [{name: c, image: busybox}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
"""
EXPERIMENT = """
apiVersion: netsim/v1
kind: Experiment
metadata: {name: sizes}
spec:
  topology: topology.yaml
  duration: 2s
  seed: 4
  load: [{name: a, from: {app: client}, to: "http://web/", rate: 50/s}]
  checks: [{name: fine, expr: errors == 0}]
  variants:
  - {name: few, set: {cluster.fillers.services: 10}}
  - {name: many, set: {cluster.fillers.services: 2000, cluster.fillers.endpoints: 2}}
  - {name: slow, set: {"load[a].rate": 5/s, cluster.links.default.delay: 1ms}}
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("variants")
    (folder / "topology.yaml").write_text(TOPOLOGY, encoding="utf-8")
    (folder / "sizes.yaml").write_text(EXPERIMENT, encoding="utf-8")
    return folder / "sizes.yaml"


@pytest.fixture(scope="module")
def compared(file: Path) -> Comparison:
    result = netsim.load(file).run(progress=lambda _done, _total: None)
    assert isinstance(result, Comparison)
    return result


def test_a_variant_is_a_whole_experiment(file: Path) -> None:
    bundle = load_experiment(file)
    assert [variant.name for variant in bundle.variants] == ["few", "many", "slow"]
    assert bundle.spec.load[0].rate_per_s == 50
    assert bundle.variant("slow").spec.load[0].rate_per_s == 5
    assert bundle.variant("slow").topology.spec.links.default.delay_ns == 1_000_000
    assert bundle.topology.spec.links.default.delay_ns is None
    with pytest.raises(LookupError, match=r"no variant fast \(there: few, many, slow\)"):
        bundle.variant("fast")


def test_side_by_side(compared: Comparison) -> None:
    table = compared.table.set_index("variant")
    assert list(table.index) == ["few", "many", "slow"]
    assert table["connect_p50_ns"]["many"] > table["connect_p50_ns"]["few"]
    assert table["first_sync_ns"]["many"] > 1.5 * table["first_sync_ns"]["few"]
    assert table["requests"]["slow"] < 30 < table["requests"]["few"]
    text = compared.text()
    assert text.startswith("sizes: 3 variants, each 1 run of 2s simulated time, seed 4, fingerprint ")
    assert "First packet to default/web and back" in text
    assert "  few      PASS\n  many     PASS\n  slow     PASS" in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_variants_differ_only_in_what_they_set(file: Path, compared: Comparison) -> None:
    again = netsim.load(file).variant("few").run(progress=lambda _done, _total: None)
    assert again.fingerprint == compared["few"].fingerprint != compared["many"].fingerprint
    few, many = compared["few"].requests, compared["many"].requests
    assert list(few["t_ns"]) == list(many["t_ns"])  # common random numbers


def test_the_folder(compared: Comparison, tmp_path: Path) -> None:
    folder = compared.write(tmp_path / "sizes")
    manifest = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert list(manifest["variants"]) == ["few", "many", "slow"]
    assert len(pd.read_parquet(folder / "comparison.parquet")) == 3
    assert (folder / "figures" / "variants-default-web.png").stat().st_size > 10_000
    assert netsim.Results.read(folder / "many").fingerprint == compared["many"].fingerprint


def test_fillers_need_addresses(file: Path, tmp_path: Path) -> None:
    (tmp_path / "topology.yaml").write_text(
        TOPOLOGY.replace("{nodes:", "{fillers: {services: 3200, endpoints: 100}, nodes:"), encoding="utf-8"
    )
    (tmp_path / "e.yaml").write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(SpecErrors, match="320000 endpoints in all are more than the 131070"):
        load_experiment(tmp_path / "e.yaml")
