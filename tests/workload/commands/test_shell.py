"""Command lines: words, quotes, variables, operators."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim.wire.addr import ip
from netsim.workload.commands.call import Machine, options, reverse_name
from netsim.workload.commands.shell import CommandLineError, Word, pipelines, split

ENV = {"HOST": "10.0.0.1", "PORT": "80", "A_B": "x y"}


def words(line: str) -> list[str]:
    return [
        "".join(text for text, _ in token.parts) if isinstance(token, Word) else f"<{token}>"
        for token in split(line)
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a b  c", ["a", "b", "c"]),
        ("a 'b c' \"d e\"f", ["a", "b c", "d ef"]),
        ("a|b;c&&d||e", ["a", "<|>", "b", "<;>", "c", "<&&>", "d", "<||>", "e"]),
        ("echo 'a|b;c' \"\"", ["echo", "a|b;c", ""]),
        (r"a\ b \'", ["a b", "'"]),
        ("", []),
    ],
)
def test_words(line: str, expected: list[str]) -> None:
    assert words(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("$HOST:$PORT", "10.0.0.1:80"),
        ("${HOST}x", "10.0.0.1x"),
        ("'$HOST'", "$HOST"),
        ('"$A_B"', "x y"),
        ("a$NOBODY.b", "a.b"),
        ("5$", "5$"),
        (r"\$HOST", "$HOST"),
    ],
)
def test_variables(line: str, expected: str) -> None:
    [(_, [[word]])] = list(pipelines(line))
    assert word.expanded(ENV) == expected


def test_pipelines() -> None:
    found = [
        (operator, [len(command) for command in commands])
        for operator, commands in pipelines("a b | c; d && e")
    ]
    assert found == [(";", [2, 1]), (";", [1]), ("&&", [1])]


@pytest.mark.parametrize("line", ["a |", "| a", "a && ; b", "&& a", "a 'b"])
def test_lines_that_a_shell_refuses(line: str) -> None:
    with pytest.raises(CommandLineError):
        list(pipelines(line))


@given(st.lists(st.text(st.characters(blacklist_characters="'", blacklist_categories=("Cs",)), min_size=1)))
def test_quoted_words_stay_what_they_are(texts: list[str]) -> None:
    assert words(" ".join(f"'{text}'" for text in texts)) == texts


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("busybox", "new"),
        ("busybox:1.28", "old"),
        ("docker.io/library/busybox:1.28.4-glibc", "old"),
        ("busybox:1.36", "new"),
        ("radial/busyboxplus:curl", "old"),
        ("yauritux/busybox-curl", "old"),
        ("alpine:3.20", "new"),
        ("nginx:1.25", ""),
        ("registry.k8s.io/e2e-test-images/agnhost:2.39", ""),
    ],
)
def test_whose_tools_an_image_has(image: str, kind: str) -> None:
    assert Machine(None, None, image).busybox == kind  # type: ignore[arg-type]


def test_options_as_getopt_reads_them() -> None:
    assert options(["-c", "3", "-qi2", "host", "--", "-x"], "ci", "q") == (
        {"c": "3", "q": "", "i": "2"},
        ["host", "-x"],
    )
    with pytest.raises(ValueError, match="requires an argument -- 'c'"):
        options(["-c"], "c")
    with pytest.raises(ValueError, match="invalid option -- 'y'"):
        options(["-y"], "c")


def test_reverse_names() -> None:
    assert reverse_name(ip("10.96.0.1")) == "1.0.96.10.in-addr.arpa."
    assert reverse_name(ip("::1")) == "1." + "0." * 31 + "ip6.arpa."
