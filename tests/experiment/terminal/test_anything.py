"""Whatever is typed: a message and an exit code, never an exception."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shelllab import User

from netsim.experiment.terminal.session import Leave

WORDS = (
    "kubectl", "get", "describe", "apply", "delete", "scale", "rollout", "status", "undo", "history", "exec",
    "drain", "cordon", "label", "annotate", "wait", "set", "image", "logs", "pods", "svc", "deploy", "ep",
    "nodes", "all", "client", "my-nginx", "worker-1", "-n", "-A", "-l", "-o", "wide", "yaml",
    "jsonpath={.items[*]..x}", "custom-columns=A:.b", "-w", "--request-timeout=1s", "--replicas=1",
    "--replicas", "--to-revision=x", "--timeout=x", "--grace-period=x", "-f", "-", "--", "run=x", "run-", "a=b",
    "pod/client", "deploy/my-nginx", "/", "a/b/c", "|", ";", "&&", "grep", "head", "run", "1s", "until",
    "ready", "tcpdump", "-i", "any", "-c", "1", "port", "80", "&", "kill", "fault", "pod-kill", "mode=fixed",
    "value=x", "value=2", "for", "load", "start", "from=run=client", "to=http://x/", "rate=0", "explain",
    "--from", "--to", "time", "use", "ssh", "iptables-save", "nft", "list", "conntrack", "-p", "ipvsadm",
    "ipset", "ip", "addr", "--sort-by=.x", "--field-selector", "--for=condition=x", "(", ")", "{", "}", "$x",
    "'", '"',
)  # fmt: skip
USER = User()


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(lines=st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=7), min_size=1, max_size=4))
def test_nothing_typed_raises(lines: list[list[str]]) -> None:
    for words in lines:
        try:
            USER.say(" ".join(words))
        except Leave:
            continue
        assert isinstance(USER.code, int)
