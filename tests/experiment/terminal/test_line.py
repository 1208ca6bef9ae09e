"""How a line is divided."""

import pytest

from netsim.experiment.terminal.line import Command, LineError, commands, here_document


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", []),
        ("  # nothing", []),
        ("kubectl get pods", [Command(("kubectl", "get", "pods"))]),
        ("a; b && c || d", [Command(("a",)), Command(("b",)), Command(("c",), "&&"), Command(("d",), "||")]),
        ("a;b;", [Command(("a",)), Command(("b",))]),
        ("a | grep x | wc -l", [Command(("a",), ";", (("grep", "x"), ("wc", "-l")))]),
        ("tcpdump -i any port 80 & run 1s", [
            Command(("tcpdump", "-i", "any", "port", "80"), behind=True), Command(("run", "1s"))
        ]),
        ("a 'b; c | d' \"e f\"", [Command(("a", "b; c | d", "e f"))]),
        ("a 'x#y' # z", [Command(("a", "x#y"))]),
        ("a x#y", [Command(("a", "x#y"))]),
        ("a '# in quotes'", [Command(("a", "# in quotes"))]),
    ],
)  # fmt: skip
def test_lines(line: str, expected: list[Command]) -> None:
    assert commands(line) == expected


@pytest.mark.parametrize(
    ("line", "message"), [("a 'b", "no closing quotation"), ("a | ; b", "`;'"), ("&& a", "`&&'")]
)
def test_mistakes(line: str, message: str) -> None:
    with pytest.raises(LineError, match=message):
        commands(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kubectl apply -f - <<EOF", ("kubectl apply -f - ", "EOF")),
        ("kubectl apply -f - << 'END'", ("kubectl apply -f - ", "END")),
        ("kubectl get pods", ("kubectl get pods", "")),
    ],
)
def test_here_documents(line: str, expected: tuple[str, str]) -> None:
    assert here_document(line) == expected
