"""`netsim describe versions`: the table is the one that the code reads."""

import json

import pytest

from netsim.cli.main import main
from netsim.cluster.timing import Timing
from netsim.cluster.versions import SWITCHES
from netsim.engine import S
from netsim.engine.switches import Switch
from netsim.kernel import releases
from netsim.kernel.clash import resolution_of


def rows(capsys: pytest.CaptureFixture[str], *options: str) -> list[dict[str, str]]:
    assert main(["describe", "versions", "-o", "json", *options]) == 0
    found: list[dict[str, str]] = json.loads(capsys.readouterr().out)
    return found


def test_everything_is_there_once(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys)
    assert {row["of"] for row in found} == {"Kubernetes", "Linux", "CNI"}
    assert len({(row["name"], row["since"]) for row in found}) == len(found)
    assert all(row["source"] and row["what"] for row in found)
    assert {row["name"] for row in found if row["of"] == "CNI"} == {"flat", "vxlan", "bridge"}
    assert set(releases.SWITCHES) <= {row["name"] for row in found}


def test_an_upgrade_shows_what_it_changes(capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(capsys, "--from", "1.31", "--to", "1.32")
    assert {row["since"] for row in found} == {"1.32"}
    grace = next(row for row in found if row["name"] == "node-monitor-grace-period")
    assert (grace["before"], grace["now"]) == ("40s", "50s")
    assert rows(capsys, "--from", "1.34", "--to", "1.34") == []
    later = rows(capsys, "--from", "1.36", "--to", "1.37")
    assert [row["now"] for row in later] == ["reconcile"]


@pytest.mark.parametrize("minor", range(8, 38))
def test_what_is_described_is_what_is_simulated(minor: int) -> None:
    timing = Timing.for_version(f"1.{minor}")
    for switch in SWITCHES.values():
        if switch.field:
            part, _, name = switch.field.partition(".")
            assert getattr(getattr(timing, part), name) == switch.at((1, minor)), switch.name


@pytest.mark.parametrize(("kernel", "clash"), [((4, 19), "none"), ((5, 0), "equal"), ((5, 7), "harder")])
def test_the_kernels_table_is_read(kernel: tuple[int, int], clash: str) -> None:
    assert resolution_of(kernel) == clash


@pytest.mark.parametrize(
    ("release", "value"), [((0, 9), 1), ((1, 0), 1), ((1, 4), 1), ((1, 5), 2), ((2, 0), 3), ((9, 9), 3)]
)
def test_a_switch(release: tuple[int, int], value: int) -> None:
    switch = Switch("x", "", (((1, 0), 1), ((1, 5), 2), ((2, 0), 3)), "")
    assert switch.at(release) == value
    assert switch.since == (2, 0)
    assert switch.changes((1, 4), (1, 9)) == [((1, 5), 1, 2)]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--from", "new"), "not a Kubernetes version"),
        (("--from", "1.34", "--to", "1.30"), "is later than"),
    ],
)
def test_mistakes(options: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "versions", *options]) == 2
    assert complaint in capsys.readouterr().err


def test_the_text_fits_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", "versions"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Kubernetes (kubernetesVersion)"
    assert max(map(len, lines)) <= 100
    assert any(line.startswith("  1.32  node-monitor-grace-period") for line in lines)
    assert Timing.for_version("1.32").node_failure.grace_period_ns == 50 * S
