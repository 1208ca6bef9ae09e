"""What all tests share: the option `--cases`, hypothesis profiles, a plain engine, the repository's root."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from published import table as published
from referee import table

from netsim.engine import Engine

ROOT = Path(__file__).resolve().parents[1]

# Figures are drawn into files, also where a display happens to be there.
os.environ.setdefault("MPLBACKEND", "Agg")

# A slow machine is no bug, so no deadlines. CI draws the same examples each time: a red build is always the change's.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("default"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--cases DIR`: the folder whose `kube_proxy/` and `dns/` tests/conformance runs."""
    # A string and not a Path: pytest-xdist sends the options to its workers as plain values.
    parser.addoption(
        "--cases",
        default=str(ROOT / "tests" / "conformance" / "cases"),
        metavar="DIR",
        help="conformance cases to run instead of the project's own (a folder with kube_proxy/ and dns/)",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make `--cases` absolute and refuse a folder that is not there, before anything is collected."""
    given = config.invocation_params.dir / config.getoption("--cases")
    if not given.is_dir() and any(str(arg).startswith("--cases") for arg in config.invocation_params.args):
        raise pytest.UsageError(f"--cases: no such folder: {given}")
    config.option.cases = str(given.resolve())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What the real kernel agreed with (tests/referee), and what others measured (tests/published)."""
    table.write(terminalreporter)
    published.write(terminalreporter)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's top folder."""
    return ROOT


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest) -> Path:
    """The folder of conformance cases; at collection time use `metafunc.config.getoption("--cases")`."""
    return Path(request.config.getoption("--cases"))


@pytest.fixture
def engine() -> Engine:
    """A fresh engine with seed 1 at time 0."""
    return Engine(seed=1)
