"""The wheel holds what a student needs, and starting is quick."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from time import perf_counter

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = ("topologies", "experiments", "notebooks")


def test_the_wheel_takes_the_data_folders_along() -> None:
    tool = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    forced = tool["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert forced == {name: f"netsim/data/{name}" for name in DATA}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built wheel, unpacked. Skips where hatchling can be neither found nor fetched,
    but not in CI."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    wheels = list(out.glob("*.whl"))
    if not wheels:
        if os.environ.get("CI"):
            pytest.fail(f"no wheel was built: {built.stderr.strip()[-200:]}")
        pytest.skip(f"no wheel can be built here: {built.stderr.strip()[-200:]}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(out / "site")
    return out / "site"


def _there(site: Path, cwd: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """The command, run from the unpacked wheel and from nowhere near the clone."""
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r}); from netsim.cli.main import main; sys.exit(main())"
    )
    return subprocess.run(
        [sys.executable, "-I", "-c", code, *argv],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def test_labs_and_examples_come_with_the_wheel(installed: Path, tmp_path: Path) -> None:
    for name in DATA:
        there = {path.relative_to(ROOT / name) for path in (ROOT / name).rglob("*.yaml")}
        assert there == {
            p.relative_to(installed / "netsim/data" / name)
            for p in (installed / "netsim/data" / name).rglob("*.yaml")
        }
    assert "cluster-ip" in _there(installed, tmp_path, "lab", "list").stdout
    assert "pod-kill" in _there(installed, tmp_path, "examples").stdout
    found = _there(
        installed, tmp_path, "run", "--example", "pod-kill", "--replications", "1", "--no-figures", "-q"
    )
    assert "1 of 1 checks passed" in found.stdout
    _there(installed, tmp_path, "lab", "new", "cluster-ip", "--student", "ada")
    assert (tmp_path / "cluster-ip-ada" / "README.md").is_file()


def _took(*argv: str) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, check=True)
    return perf_counter() - began


def test_starting_takes_at_most_three_times_as_long_as_numpy() -> None:
    """All three beside each other, several times: the least of each is what other work disturbed least."""
    commands = (["-c", "import numpy"], ["-c", "import netsim"], ["-m", "netsim", "--help"])
    numpy, package, command = (
        min(times) for times in zip(*([_took(*argv) for argv in commands] for _ in range(5)), strict=True)
    )
    assert package <= 3 * numpy
    assert command <= 3 * numpy


@pytest.mark.parametrize(
    "argv", [["-c", "import netsim"], ["-m", "netsim", "--help"], ["-m", "netsim", "lab", "list"]]
)
def test_starting_loads_nothing_heavy(argv: list[str]) -> None:
    listed = subprocess.run(
        [sys.executable, "-X", "importtime", *argv], cwd=ROOT, capture_output=True, text=True, check=True
    ).stderr
    loaded = {name.split(".")[0] for name in re.findall(r"\| +([\w.]+)$", listed, re.MULTILINE)}
    assert "netsim" in loaded
    assert not loaded & {"scapy", "pandas", "matplotlib", "scipy", "distributed", "prompt_toolkit", "IPython"}
