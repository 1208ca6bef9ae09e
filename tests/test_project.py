"""The repository itself: versions and lock agree, the layout is the agreed one, modules are small and documented."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import netsim

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "netsim").rglob("*.py"))
FOLDERS = {"netsim", "topologies", "experiments", "tests", "notebooks"}
FILES = {"pyproject.toml", "uv.lock", "README.md", "Makefile", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
MOST_LINES = 400
# Paths of a machine that the work was done on mean nothing to anybody else.
LOCAL_PATHS = re.compile(rb"/(?:work|opt)/(?:main|shared|pypi|wheels)|/tmp/[n]etsim|[.][.]/shared/")


@cache
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@cache
def locked() -> dict[str, dict[str, Any]]:
    """Package name -> its entry in uv.lock."""
    return {entry["name"]: entry for entry in tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))["package"]}


def normalised(requirement: str) -> str:
    """The package name in a requirement as PEP 503 writes it: `ruamel.yaml>=0.18` -> `ruamel-yaml`."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


@cache
def project_files() -> tuple[str, ...]:
    """Paths of the files that belong to the project: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return tuple(path for path in listed.split("\0") if path and (ROOT / path).is_file())


def test_versions_agree() -> None:
    version = pyproject()["project"]["version"]
    assert netsim.__version__ == version
    assert locked()["k8s-netsim"]["version"] == version


def test_changelog_knows_the_version_or_is_collecting_for_it() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] in {"Unreleased", netsim.__version__}


def test_lock_holds_every_dependency_of_pyproject() -> None:
    project, groups = pyproject()["project"], pyproject()["dependency-groups"]
    wanted = [*project["dependencies"], *groups["dev"], *project["optional-dependencies"]["notebook"]]
    assert not [text for text in wanted if normalised(text) not in locked()]


def test_lock_was_made_from_these_requirements() -> None:
    metadata = locked()["k8s-netsim"]["metadata"]

    def of(entries: list[dict[str, Any]]) -> dict[str, str]:
        return {entry["name"]: entry.get("specifier", "") for entry in entries if "marker" not in entry}

    def written(requirements: list[str]) -> dict[str, str]:
        return {normalised(text): text.partition(">=")[1] + text.partition(">=")[2] for text in requirements}

    assert of(metadata["requires-dist"]) == written(pyproject()["project"]["dependencies"])
    assert of(metadata["requires-dev"]["dev"]) == written(pyproject()["dependency-groups"]["dev"])


def test_lock_names_the_public_index_only() -> None:
    hosts = set(re.findall(r"https?://([^/\"]+)", (ROOT / "uv.lock").read_text("utf-8")))
    assert hosts <= {"pypi.org", "files.pythonhosted.org"}
    assert {tuple(entry["source"]) for entry in locked().values()} == {("registry",), ("editable",)}


def test_one_version_of_each_package() -> None:
    text = (ROOT / "uv.lock").read_text("utf-8")
    names = re.findall(r'^\[\[package\]\]\nname = "(.+)"$', text, re.MULTILINE)
    assert len(names) == len(set(names)) > 0


def test_top_level_holds_only_the_agreed_entries() -> None:
    top = {path.partition("/")[0] for path in project_files()}
    assert {name for name in top if not name.startswith(".")} <= FOLDERS | FILES


def test_no_file_names_a_path_of_one_machine() -> None:
    assert not [path for path in project_files() if LOCAL_PATHS.search((ROOT / path).read_bytes())]


def test_every_package_is_a_layer() -> None:
    layers = {name for layer in layer_contract()["layers"] for name in re.findall(r"\w+", layer)}
    assert {path.parent.name for path in (ROOT / "netsim").glob("*/__init__.py")} == layers


def layer_contract() -> dict[str, Any]:
    contracts: list[dict[str, Any]] = pyproject()["tool"]["importlinter"]["contracts"]
    return next(contract for contract in contracts if contract["type"] == "layers")


def test_wheel_would_hold_only_netsim() -> None:
    assert pyproject()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == ["netsim"]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_small_and_says_what_it_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(text)), f"{path} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_is_finished(path: Path) -> None:
    text = path.read_text("utf-8")
    assert not re.search(r"NotImplementedError|\b(TODO|FIXME|XXX)\b", text)


@pytest.mark.parametrize(
    "module", ["netsim", "netsim.wire.packet", "netsim.kernel", "netsim.cluster", "netsim.cli.main"]
)
def test_import_is_light(module: str) -> None:
    """Scapy and matplotlib take a second to load, so whoever does not need them does not wait for them."""
    code = f"import sys, {module}; print(*{{'scapy', 'matplotlib'}} & set(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    assert loaded.split() == []


def test_reading_an_experiment_is_light() -> None:
    """`validate`, `get`, `exec` and `shell` read files; tables and statistics are for those who have results."""
    code = (
        "import sys; from netsim.experiment.loader import load; load('experiments/pod-kill.yaml'); "
        "print(*{'scapy', 'matplotlib', 'pandas', 'scipy'} & set(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    assert loaded.split() == []
