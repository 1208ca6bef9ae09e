"""Flags as pflag reads them."""

import pytest

from netsim.experiment.kubectl.arguments import Flag, boolean, parse
from netsim.experiment.kubectl.context import KubectlError

FLAGS = (Flag("namespace", "n"), Flag("output", "o"), boolean("all-namespaces", "A"), boolean("watch", "w"))


@pytest.mark.parametrize(
    ("line", "args", "flags"),
    [
        ("pods -n web", ["pods"], {"namespace": ["web"]}),
        ("-nweb pods", ["pods"], {"namespace": ["web"]}),
        ("-n=web pods", ["pods"], {"namespace": ["web"]}),
        ("--namespace=web --namespace x", [], {"namespace": ["web", "x"]}),
        ("pods -Aw", ["pods"], {"all-namespaces": ["true"], "watch": ["true"]}),
        ("pods -Ao wide", ["pods"], {"all-namespaces": ["true"], "output": ["wide"]}),
        ("pods --watch=false", ["pods"], {"watch": ["false"]}),
        ("a - b", ["a", "-", "b"], {}),
    ],
)
def test_flags(line: str, args: list[str], flags: dict[str, list[str]]) -> None:
    given = parse(line.split(), FLAGS, "get")
    assert (given.args, given.flags) == (args, flags)


def test_what_stands_behind_two_dashes_is_left_alone() -> None:
    given = parse(["client", "--", "ls", "-n"], FLAGS, "exec")
    assert (given.args, given.rest, given.dashed) == (["client"], ["ls", "-n"], True)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--foo", "error: unknown flag: --foo\nSee 'kubectl get --help' for usage."),
        ("-x", "error: unknown shorthand flag: 'x' in -x\nSee 'kubectl get --help' for usage."),
        ("-n", "error: flag needs an argument: 'n' in -n\nSee 'kubectl get --help' for usage."),
        ("--output", "error: flag needs an argument: --output\nSee 'kubectl get --help' for usage."),
    ],
)
def test_mistakes(line: str, message: str) -> None:
    with pytest.raises(KubectlError) as caught:
        parse(line.split(), FLAGS, "get")
    assert str(caught.value) == message


def test_a_bool_that_is_none() -> None:
    with pytest.raises(KubectlError, match="invalid syntax"):
        parse(["--watch=perhaps"], FLAGS, "get").is_set("watch")
