"""What the README shows as a command's output is what the command prints; `...` stands for what was left out."""

import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
CUT = "..."
# Shown and tested elsewhere: tests/system/test_rolling_update.py runs it anyway.
ELSEWHERE = {"netsim run experiments/rolling-update.yaml"}


def shown() -> list[tuple[str, tuple[str, ...]]]:
    """Each netsim command of the README with the lines below it, if there are any."""
    found: list[tuple[str, list[str]]] = []
    for block in BLOCK.findall((ROOT / "README.md").read_text("utf-8")):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line.strip() and line.strip() != CUT:
                found[-1][1].append(line.rstrip())
    return [(command, tuple(lines)) for command, lines in found if lines and command not in ELSEWHERE]


@cache
def printed(command: str, folder: Path) -> tuple[str, ...]:
    """Standard output and error of a command line such as `PYTHONHASHSEED=1 .venv/bin/netsim run x.yaml | head -1`."""
    words = shlex.split(command.partition("|")[0])
    settings = dict(word.split("=", 1) for word in words if re.match(r"[A-Z]+=", word))
    arguments = words[len(settings) + 1 :]
    if arguments[0] == "run":
        arguments += ["--out", str(folder / "out"), "--no-figures"]
    program = "import sys; from netsim.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT, env=os.environ | {"NO_COLOR": "1"} | settings, capture_output=True, check=False, text=True,
    )  # fmt: skip
    return tuple(line.rstrip() for line in (done.stdout + done.stderr).splitlines())


def test_outputs_are_shown() -> None:
    assert len(shown()) >= 3


@pytest.mark.parametrize(
    ("command", "lines"), shown(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_the_command_prints_what_is_shown(command: str, lines: tuple[str, ...], tmp_path: Path) -> None:
    left = iter(printed(command, tmp_path))
    for line in lines:  # in this order
        start = line.removesuffix(CUT).rstrip() if line.endswith(CUT) else None
        assert any(text == line or (start and text.startswith(start)) for text in left), line
