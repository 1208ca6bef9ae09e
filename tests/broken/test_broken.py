"""Broken inputs: each of their problems is shown as `file:line:col: path: message`, exit code 2, no traceback.

Beside each `NAME.yaml` (or folder `NAME/` with a topology) stands `NAME.txt`, the expected output. After a change of a
message, `NETSIM_UPDATE_GOLDEN=1 pytest tests/broken` writes the texts anew; read the difference before committing it.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsim.cli.main import main
from netsim.experiment import yaml_read
from netsim.experiment.errors import SpecError, SpecErrors
from netsim.experiment.loader import load

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LINE = re.compile(r"[^:]+:[1-9][0-9]*:[1-9][0-9]*: .+?: .+")
FOLDERS = {"several-files": "several-files/topology.yaml"}
CASES = {path.stem: path.name for path in sorted(HERE.glob("*.yaml"))} | FOLDERS


def problems(capsys: pytest.CaptureFixture[str], file: str) -> str:
    """What `netsim validate` says about a broken file, after checking how it says it."""
    assert main(["validate", file]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    for line in err.splitlines():
        assert LINE.fullmatch(line), line
    return err


def test_there_are_enough() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(HERE)
    found = problems(capsys, CASES[name])
    golden = HERE / f"{name}.txt"
    if os.environ.get("NETSIM_UPDATE_GOLDEN"):
        golden.write_text(found, encoding="utf-8", newline="\n")
    assert found == golden.read_text(encoding="utf-8")


def alias_bomb() -> bytes:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    return "\n".join(lines).encode()


GENERATED: dict[str, tuple[Callable[[], bytes], str]] = {
    "alias-bomb": (alias_bomb, "6:10: (syntax): aliases expand to more than 100,000 values (an alias bomb?)"),
    "deep": (lambda: b"[" * 5000, "1:102: (syntax): nested deeper than 100 levels"),
    "deep-mappings": (lambda: b"{a: " * 500, "1:405: (syntax): nested deeper than 100 levels"),
    "empty": (lambda: b"", "1:1: (file): the file is empty: no YAML document in it"),
    "blank": (lambda: b" \n\n", "1:1: (file): the file is empty: no YAML document in it"),
    "binary": (lambda: b"\x7fELF\x02\x01\x01\0\0\0", "1:8: (file): a binary file, not YAML text"),
    "latin-1": (
        lambda: "kind: Cluster\nname: caf\xe9\n".encode("latin-1"),
        "2:10: (file): byte 0xE9 is not UTF-8: save the file as UTF-8",
    ),
    "utf-16": (
        lambda: "kind: Cluster\n".encode("utf-16"),
        "1:1: (file): the file is UTF-16: save it as UTF-8",
    ),
    "escape": (lambda: b"a: \x1b[31m\n", "1:4: (file): control character U+001B is not allowed in YAML"),
    "surrogate": (
        lambda: b'kind: "\\ud800"\n',
        "1:7: \\ud800: kind: half of a surrogate pair is no character: write \\U and eight digits",
    ),
    "no-character": (lambda: b'kind: "\\UFFFFFFFF"\n', "1:8: (syntax): this escape is no character"),
    "huge": (
        lambda: b"# " + b"x" * yaml_read.MAX_BYTES,
        "1:1: (file): larger than 32 MiB: split it into several files under `manifests:`",
    ),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make, expected = GENERATED[name]
    monkeypatch.chdir(tmp_path)
    Path("input.yaml").write_bytes(make())
    assert f"input.yaml:{expected}" in problems(capsys, "input.yaml").splitlines()


@pytest.mark.parametrize("file", ["nothing-here.yaml", "."])
def test_no_file(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["validate", file]) == 2
    assert "(file): " in capsys.readouterr().err


def test_a_byte_order_mark_is_harmless(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (HERE / "good" / "topology.yaml").read_bytes()
    file = tmp_path / "topology.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert main(["validate", str(file)]) == 0
    capsys.readouterr()


def test_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(HERE)
    assert main(["validate", "good/topology.yaml", "experiment-units.yaml", "-o", "json"]) == 2
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (found["schemaVersion"], found["valid"], err) == (1, False, "")
    assert [file["valid"] for file in found["files"]] == [True, False]
    assert found["files"][0]["objects"] == {"Deployment": 1, "Pod": 1, "Service": 1}
    assert found["files"][1]["errors"][0] == {
        "file": "experiment-units.yaml",
        "line": 6,
        "column": 13,
        "path": "spec.duration",
        "message": "60 needs a unit (write 60s or 60ms)",
    }


@pytest.mark.parametrize("file", ["manifest-types.yaml", "experiment-many.yaml", "yaml-empty.yaml"])
def test_as_a_process(file: str) -> None:
    command = [sys.executable, "-m", "netsim.cli.main", "validate", file]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    golden = (HERE / file).with_suffix(".txt").read_text(encoding="utf-8")
    assert done.stderr.decode().replace("\r\n", "\n") == golden


SEEDS = [
    (HERE / "good" / "topology.yaml").read_text(encoding="utf-8"),
    (ROOT / "topologies" / "failover.yaml").read_text(encoding="utf-8"),
    (ROOT / "experiments" / "load-split.yaml").read_text(encoding="utf-8"),
]
ODD = [
    "",
    "-1",
    "0",
    "99999999999",
    "1e400",
    ".nan",
    "~",
    "[]",
    "{}",
    "[[]]",
    "'",
    '"',
    "&a",
    "*a",
    "!!set",
    "- ",
    ": ",
    "?",
]


@settings(max_examples=150)
@given(st.data())
def test_whatever_is_in_a_file_only_spec_errors_come_out(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lines = data.draw(st.sampled_from(SEEDS)).splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        words = lines[at].split(" ")
        where = data.draw(st.integers(0, len(words) - 1))
        words[where] = data.draw(st.sampled_from(ODD) | st.text(max_size=8))
        lines[at] = " ".join(words)
    file = tmp_path_factory.mktemp("fuzz") / "input.yaml"
    file.write_text("\n".join(lines), encoding="utf-8", errors="surrogatepass")
    found: tuple[SpecError, ...] = ()
    try:
        load(file)
    except SpecErrors as errors:
        found = errors.errors
    assert all(LINE.fullmatch(str(error)) for error in found)
