"""The README keeps its word: commands and the files they name exist, YAML loads, Python compiles, links resolve."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
GROUPS = {"describe", "lab"}  # verbs that have verbs
SHELLS = {"console", "sh", "bash", "shell", "shell-session"}
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
PROMPT = re.compile(r"^\s*(?:\$ |>{3} |PS> )")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def blocks(*languages: str) -> tuple[Block, ...]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match["language"], textwrap.dedent(match["text"])))
    return tuple(block for block in found if block.language in languages)


def words(line: str) -> list[str]:
    """A shell line's words without prompt, comment and redirection: `$ netsim run x > y # why` -> netsim run x."""
    split = shlex.split(PROMPT.sub("", line), comments=True)
    end = next(
        (at for at, word in enumerate(split) if word in {"|", ">", ">>", "<", "2>", "&&", ";"}), len(split)
    )
    return split[:end]


@cache
def commands(program: str) -> tuple[tuple[str, ...], ...]:
    """Shell lines that start with a program, as words; in a block with prompts only the prompted lines count."""
    found: dict[tuple[str, ...], None] = {}
    for block in blocks(*sorted(SHELLS)):
        lines = block.text.replace("\\\n", " ").splitlines()
        prompted = [line for line in lines if PROMPT.match(line)]
        for line in prompted or lines:
            part = re.sub(r"^\.venv/bin/", "", PROMPT.sub("", line).strip())
            if re.match(rf"{program}\b", part):
                found[tuple(words(part))] = None
    return tuple(found)


def netsim(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What the console script does, in a terminal wide enough that no option of `--help` is cut."""
    command = [
        sys.executable,
        "-c",
        "import sys; from netsim.cli.main import main; sys.exit(main())",
        *arguments,
    ]
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, check=False, text=True, timeout=120
    )


def test_readme_shows_how_to_start() -> None:
    assert {("make", "run"), ("make", "test")} <= set(commands("make"))
    assert any(len(command) > 1 and command[1] == "run" for command in commands("netsim"))


def test_every_verb_shown_exists() -> None:
    verbs = sorted(
        {command[1] for command in commands("netsim") if len(command) > 1 and command[1][0] != "-"}
    )
    failed = {verb: done.stderr for verb in verbs if (done := netsim(verb, "--help")).returncode}
    assert not failed


def test_every_option_shown_exists() -> None:
    missing = []
    for command in commands("netsim"):
        options = {word.partition("=")[0] for word in command[1:] if word.startswith("--")}
        verb = command[1:3] if command[1] in GROUPS else command[1:2]
        text = netsim(*verb, "--help").stdout if options else ""
        missing += [f"{' '.join(command)}: {option}" for option in options if option not in text]
    assert not missing


def test_every_make_target_shown_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    shown = {word for command in commands("make") for word in command[1:] if "=" not in word}
    assert shown <= targets


def test_every_file_named_in_a_command_is_there() -> None:
    named = {word for command in commands("netsim") for word in command[2:]}
    files = {word for word in named if re.match(r"(topologies|experiments|notebooks|tests)/[\w./-]+$", word)}
    assert not [name for name in files if not (ROOT / name).exists()]


def test_yaml_blocks_load() -> None:
    """Duplicate keys are errors in ruamel.yaml."""
    for block in blocks("yaml", "yml"):
        try:
            list(YAML(typ="rt").load_all(block.text))
        except Exception as error:
            pytest.fail(f"{block}: {error}")


def test_complete_yaml_documents_are_valid(tmp_path: Path) -> None:
    """A block that is a whole `netsim/v1` document passes `netsim validate`, beside the files that it may refer to."""
    shutil.copytree(ROOT / "topologies", tmp_path / "topologies")
    (tmp_path / "experiments").mkdir()
    for block in blocks("yaml", "yml"):
        if re.search(r"^apiVersion: netsim/", block.text, re.MULTILINE) and "..." not in block.text:
            folder = "topologies" if re.search(r"^kind: Cluster", block.text, re.MULTILINE) else "experiments"
            path = tmp_path / folder / f"readme-{block.line}.yaml"
            path.write_text(block.text, "utf-8")
            done = netsim("validate", str(path))
            assert done.returncode == 0, f"{block}: {done.stdout}{done.stderr}"


def test_python_blocks_compile() -> None:
    for block in blocks("python", "py"):
        try:
            compile(block.text, str(block), "exec")
        except SyntaxError as error:
            pytest.fail(f"{block}: {error}")


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_resolve(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text("utf-8"))
    targets = [target.partition("#")[0] for target in LINK.findall(text) if "://" not in target]
    assert not [target for target in targets if target and not (ROOT / target).exists()]


@pytest.mark.parametrize("page", PAGES)
def test_anchors_on_the_page_resolve(page: str) -> None:
    text = FENCE.sub("", (ROOT / page).read_text("utf-8"))
    headings = re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert not [
        target for target in LINK.findall(text) if target.startswith("#") and target[1:] not in anchors
    ]
