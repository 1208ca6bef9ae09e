"""`netsim shell`: a recorded script with the outputs that a kubectl user expects, through a real pseudo-terminal and
through a pipe; exit codes, Ctrl-C, completion.

`tests/cli/shell/transcript.txt` is what this prints (stdout and stderr together):
`python -m netsim shell -q topologies/my-nginx.yaml < tests/cli/shell/script.txt`.
After a change of the simulation, write it anew and read the difference.
"""

import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from netsim.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path("tests/cli/shell")
TOPOLOGY = "topologies/my-nginx.yaml"
COMMAND = ["-m", "netsim", "shell", "-q", TOPOLOGY]
PROMPT = r"my-nginx [0-9.]+(ns|us|ms|s)> "


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the processes of this module keep what Python has compiled."""
    return tmp_path_factory.mktemp("compiled")


def environment(folder: Path, compiled: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    ours = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(compiled), "XDG_STATE_HOME": str(folder)}
    return {**kept, **ours, **more}


def commands() -> list[str]:
    """The script's lines without its comments."""
    text = (ROOT / FOLDER / "script.txt").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def outputs() -> list[tuple[str, str]]:
    """(command, output) of the transcript."""
    found: list[tuple[str, str]] = []
    left = commands()
    for line in (ROOT / FOLDER / "transcript.txt").read_text("utf-8").splitlines():
        if left and line.startswith("my-nginx ") and line.endswith(f"> {left[0]}"):
            found.append((left.pop(0), ""))
        elif found and not (line.startswith("# ") and line.endswith(".")):
            command, output = found.pop()
            found.append((command, f"{output}{line}\n"))
    assert not left, f"the transcript lacks {left[0]}"
    return found


def spawn(folder: Path, compiled: Path, terminal: str = "dumb") -> "pexpect.spawn[str]":
    child = pexpect.spawn(
        sys.executable,
        COMMAND,
        cwd=str(ROOT),
        env=environment(folder, compiled, TERM=terminal),
        encoding="utf-8",
        timeout=60,
        echo=False,
        dimensions=(50, 400),
    )
    child.delaybeforesend = None
    return child


def test_a_recorded_script_through_a_pseudo_terminal(tmp_path: Path, compiled: Path) -> None:
    assert len(commands()) >= 60
    child = spawn(tmp_path, compiled)
    child.expect(PROMPT)
    for command, expected in outputs():
        child.sendline(command)
        child.expect(PROMPT)
        shown = child.before.replace("\r\n", "\n").replace("\r", "")
        typed, _, output = shown.partition("\n")
        assert command in typed
        assert output == expected, command
    child.sendline("exit 7")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 7


def test_the_same_script_through_a_pipe(tmp_path: Path, compiled: Path) -> None:
    script = (ROOT / FOLDER / "script.txt").read_text("utf-8")
    done = subprocess.run(
        [sys.executable, *COMMAND],
        input=script,
        cwd=ROOT,
        env=environment(tmp_path, compiled, PYTHONHASHSEED="7"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stdout == (ROOT / FOLDER / "transcript.txt").read_text("utf-8")
    assert done.returncode == 0


def test_interrupt_ends_the_command_and_not_the_shell(tmp_path: Path, compiled: Path) -> None:
    child = spawn(tmp_path, compiled)
    child.expect(PROMPT)
    child.sendline("run 1000h")
    child.expect("run 1000h\r*\n")
    child.expect([pexpect.TIMEOUT], timeout=1)
    child.sendintr()
    child.expect(r"\^C")
    child.expect(PROMPT)
    child.sendline("kubectl get ns default")
    child.expect("Active")
    child.expect(PROMPT)
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_tab_completes_at_a_terminal(tmp_path: Path, compiled: Path) -> None:
    child = spawn(tmp_path, compiled, "xterm")
    child.expect("my-nginx 0s")
    child.send("kubectl get deploy my-\t")
    child.expect("my-nginx")
    child.send("\r")
    child.expect("UP-TO-DATE")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert "kubectl get deploy my-nginx" in (tmp_path / "netsim" / "history").read_text("utf-8")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("kubectl get ns default -o name", 0, "namespace/default\n"),
        ("kubectl get pod nope", 1, 'Error from server (NotFound): pods "nope" not found\n'),
        ("kubectl get pod nope; time", 0, ""),
        ("exit 4; time", 4, ""),
        ("nonsense", 127, "nonsense: command not found"),
        ("kubectl get pods 'open", 2, "syntax error: no closing quotation"),
        ("kubectl exec client -- false", 1, "command terminated with exit code 1\n"),
    ],
)
def test_commands_given_with_c(
    line: str, code: int, said: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["shell", "-q", TOPOLOGY, "-c", line]) == code
    assert said in "".join(capfd.readouterr())


def test_what_is_no_topology_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text("apiVersion: netsim/v1\nkind: Clutser\nmetadata: {name: x}\n")
    assert main(["shell", str(file)]) == 2
    assert "broken.yaml:2:7" in capfd.readouterr().err
    assert main(["shell", "-q", str(ROOT / TOPOLOGY), "--at", "soon"]) == 2
