"""`netsim lab`, `netsim examples` and `netsim run --example`, as a student and a teacher type them."""

import csv
import re
from pathlib import Path

import pytest

from netsim.cli.main import main
from netsim.experiment.lab.api import Lab

SAY = pytest.CaptureFixture[str]


def test_list(capsys: SAY) -> None:
    assert main(["lab", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 10
    assert any(re.match(r"split +9 points  30 min  The split and its chance", line) for line in lines)


def test_a_wrong_answer_and_its_hint_then_a_right_one_and_its_points(tmp_path: Path, capsys: SAY) -> None:
    mine = tmp_path / "class" / "ada"
    assert main(["lab", "new", "cluster-ip", "--student", "ada", "--out", str(mine)]) == 0
    assert (mine / "README.md").read_text("utf-8").startswith("# The ClusterIP is nowhere\n")
    (mine / "answers.yaml").write_text("ping: answer\n", "utf-8")
    assert main(["lab", "check", str(mine)]) == 1
    out = capsys.readouterr().out
    assert "ping          0 of 1  not what happens" in out
    assert "hint: The rules match an address with protocol and port." in out
    answers, files = Lab("cluster-ip", "ada").solution()
    (mine / "answers.yaml").write_text("".join(f"{t}: {v}\n" for t, v in answers.items()), "utf-8")
    (mine / "manifests.yaml").write_text(files["manifests.yaml"], "utf-8")
    assert main(["lab", "check", str(mine)]) == 0
    assert "7 of 7 points" in capsys.readouterr().out
    marks = tmp_path / "marks.csv"
    assert main(["lab", "grade", str(tmp_path / "class"), "--out", str(marks)]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err.count("1 submissions graded, 1 with all points")) == ("", 1)
    assert [row["points"] for row in csv.DictReader(marks.read_text("utf-8").splitlines())] == ["7"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["lab", "new", "splitt", "--student", "ada"], 'no lab is called "splitt" (did you mean "split"?)'),
        (["lab", "new", "split", "--student", "a/b"], '"a/b" is no student id'),
        (["lab", "check", "."], "lab.yaml is missing"),
        (["lab", "grade", "nowhere"], "nowhere"),
        (["lab", "export", "nothing"], 'no lab is called "nothing"'),
        (["run", "--example", "pod-kil"], 'no example is called "pod-kil" (did you mean "pod-kill"?)'),
        (["run"], "name a file, or an example"),
    ],
)
def test_wrong_use_is_said(
    argv: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: SAY
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    assert message in capsys.readouterr().err


def test_examples_are_there_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: SAY) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["examples"]) == 0
    assert "pod-kill" in capsys.readouterr().out
    assert main(["run", "--example", "wrong-port", "--no-figures", "-q"]) == 0
    assert (tmp_path / "results" / "wrong-port" / "run.json").is_file()
