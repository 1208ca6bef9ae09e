"""The terminal's own commands: tools of a node, tcpdump, time, faults, loads, mistakes; and completion."""

import pytest
from shelllab import User

from netsim.experiment.terminal.completion import complete
from netsim.experiment.terminal.session import Leave, names


@pytest.fixture(scope="module")
def user() -> User:
    return User()


@pytest.fixture(scope="module")
def ipvs() -> User:
    return User("topologies/ipvs.yaml")


@pytest.mark.parametrize(
    ("line", "said", "code"),
    [
        ("iptables-save -t nat | head -1", "*nat\n", 0),
        ("iptables-save -t filter -c | grep -c KUBE-FORWARD", "", 0),
        ("iptables-save -t nope", "table `nope': Table does not exist", 1),
        ("iptables-save -L", "-L is not simulated (known: -c, -t TABLE)", 1),
        ("iptables-save control-plane | grep -c KUBE-SVC", "", 0),
        ("nft list ruleset", "", 0),
        ("nft add rule", "known are `list ruleset`", 1),
        ("nft list table ip kube-proxy", "Error: No such file or directory", 1),
        ("ipvsadm -Ln", "IP Virtual Server version 1.2.1 (size=4096)\n", 0),
        ("ipvsadm -A", "known are -Ln", 1),
        ("ipset list nope", "The set with the given name does not exist", 1),
        ("conntrack -C", "\n", 0),
        ("conntrack -D", "-D is not simulated", 1),
        ("ip addr show dev nope", 'Device "nope" does not exist.\n', 1),
        ("ip neigh", "known are `ip route`, `ip addr` and `ip link`", 1),
        ("ip -4 addr show eth0", "    inet 172.18.0.3/16 scope global eth0\n", 0),
        ("ssh worker-2 ip route", "10.244.1.0/24 via 172.18.0.3 dev eth0", 0),
        ("ssh laptop curl -s http://nowhere.example/", "command terminated with exit code 6", 6),
        ("docker exec worker-1 ip addr", "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500", 0),
        ("ssh worker-1", "write `ssh NODE COMMAND`", 1),
        ("use nowhere", "which node? (control-plane, worker-1, worker-2; now: worker-1)", 1),
        ("kill 3", "kill: 3: no such job", 1),
        ("run", "how long?", 1),
        ("run 10", '"10" needs a unit (write 10s or 10ms)', 1),
        ("run soon", "is not a duration", 1),
        ("time x", "takes no words", 1),
        ("until", "write until pod NAME ready", 1),
        ("until pod nope ready", 'pods "nope" not found', 1),
        ("until pod client asleep", 'a Pod cannot be "asleep" (known: ready, gone, notready)', 1),
        ("until pod client gone --timeout 2s", "until: not so within 2s: pod client gone\n", 1),
        ("until endpoints my-nginx 2", "endpoints of my-nginx: 2 after 0s", 0),
        ("until node worker-1 ready", "node worker-1 ready after 0s", 0),
        ("fault", "which? pod-kill, pod-delete", 1),
        ("fault pod-kil run=x", 'no action is called "pod-kil" (did you mean "pod-kill"?)', 1),
        ("fault pod-kill", "what pod-kill hits", 1),
        ("fault pod-kill run=nobody", "nothing that runs matches run=nobody", 1),
        ("fault pod-kill run", '"run" is no KEY=VALUE', 1),
        ("fault pod-kill run=my-nginx for 5s", "pod-kill happens at one moment: remove for", 1),
        ("fault link-netem node=worker-1", "link-netem needs at least one of delay", 1),
        ("fault link-netem node=worker-1 delay=5", "needs a unit", 1),
        ("load start to=http://x/", "load: from: Field required", 1),
        ("load start from=run=nobody to=http://my-nginx/", "nothing that runs matches", 1),
        ("load stop nope", 'no load called "nope"', 1),
        ("load", "No loads.", 0),
        ("tcpdump -i nope", "tcpdump: nope: No such device exists", 1),
        ("tcpdump -c x", "invalid packet count x", 1),
        ("tcpdump -vvv", "-v is not simulated", 1),
        ("tcpdump port", "syntax error", 1),
        ("run 1s &", "only tcpdump goes on behind", 1),
        ("time | sed s/a/b/", "sed: cannot stand behind a pipe here", 127),
        ("explain --to http://my-nginx/", "write `explain --from", 1),
        ("explain --from pod/client --to http://my-nginx/ | head -1", "pod/client asks http://my-nginx/\n", 0),
        ("books", "packets: ", 0),
        ("get pods", "did you mean `kubectl get`?", 127),
        ("help", "kubectl get|describe|apply", 0),
        ("help fault", "fault ACTION KEY=VALUE", 0),
        ("help rollout", "kubectl rollout: status, restart", 0),
        ("echo a b", "a b\n", 0),
    ],
)  # fmt: skip
def test_what_is_said(user: User, line: str, said: str, code: int) -> None:
    text = user.say(line)
    assert said in text
    assert "Traceback" not in text
    assert user.code == code


def test_exit_codes_and_operators(user: User) -> None:
    assert user.say("use nowhere && echo no; echo yes").endswith("yes\n")
    assert user.say("use nowhere || echo instead").endswith("instead\n")
    with pytest.raises(Leave) as caught:
        user.say("exit 3; echo no")
    assert caught.value.code == 3


def test_ipvs_and_ipset_views(ipvs: User) -> None:
    assert "TCP  10.96.0.10:53 rr\n" in ipvs.say("ipvsadm -Ln")
    assert "InBytes OutBytes" in ipvs.say("ipvsadm -Ln --stats")
    assert ipvs.say("ipvsadm -Lnc").startswith("IPVS connection entries\n")
    assert "Name: KUBE-CLUSTER-IP\n" in ipvs.say("ipset list")
    assert ipvs.say("ipset list KUBE-CLUSTER-IP").count("Name: ") == 1


def test_nft_views() -> None:
    user = User("topologies/nftables.yaml")
    whole = user.say("nft list ruleset")
    assert "table ip kube-proxy\n" in user.say("nft list tables")
    table = user.say("nft list table ip kube-proxy")
    assert table.startswith("table ip kube-proxy {\n")
    assert table.endswith("\n}\n")
    assert table in whole


def test_a_capture_in_the_foreground_ends_after_its_packets() -> None:
    user = User()
    user.say("load start from=run=client to=http://my-nginx/ rate=50/s name=shop")
    said = user.say("tcpdump -i pod/client -n -c 2 tcp dst port 80")
    lines = [line for line in said.splitlines() if " IP " in line]
    assert len(lines) == 2
    assert "> 10.96.44.11.80: Flags [S], seq " in lines[0]
    assert "2 packets captured\n" in said
    said = user.say("tcpdump -i any -n --for 1s tcp port 80")
    assert {line.split()[2] for line in said.splitlines() if " IP " in line} == {"In", "Out"}
    assert user.say("load stop").startswith("shop: ")
    assert user.session.jobs == {}


def test_a_fault_and_a_load_meet() -> None:
    user = User()
    user.say("load start from=run=client to=http://my-nginx/ rate=100/s")
    assert user.say("fault node-crash node=worker-2") == "node-crash-1: worker-2\n"
    user.say("run 10s")
    said = user.say("load stop")
    assert "timeout" in said
    assert " ok" in said
    assert user.say("until node worker-2 notready --timeout 2m").startswith("node worker-2 notready after ")
    assert "NotReady" in user.say("kubectl get node worker-2")
    assert "NodeNotReady" in user.say("kubectl get events -A")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kub", ["kubectl"]),
        ("kubectl desc", ["describe"]),
        ("kubectl get pods; kubectl des", ["describe"]),
        ("kubectl get endpoi", ["endpoints", "endpointslices"]),
        ("kubectl get pods cl", ["client"]),
        ("kubectl get -n kube-system pods core", None),
        ("kubectl get pods -n kube-s", ["kube-system"]),
        ("kubectl get pods -o w", ["wide"]),
        ("kubectl get pods --all", ["--all-namespaces"]),
        ("kubectl rollout re", ["restart", "resume"]),
        ("kubectl rollout status deployment/my", ["deployment/my-nginx"]),
        ("kubectl exec cl", ["client"]),
        ("kubectl drain worker", ["worker-1", "worker-2"]),
        ("kubectl nonsense x", []),
        ("fault pod-h", ["pod-hang"]),
        ("fault pod-kill run=", ["run=client", "run=my-nginx"]),
        ("tcpdump -i eth", ["eth0"]),
        ("tcpdump -i pod/cl", ["pod/client"]),
        ("use w", ["worker-1", "worker-2"]),
        ("until endpoints my", ["my-nginx"]),
        ("until pod client re", ["ready"]),
        ("nft l", ["list ruleset"]),
    ],
)
def test_completion(user: User, text: str, expected: list[str] | None) -> None:
    _, found = complete(user.session, text)
    if expected is None:
        assert len(found) == 2
        assert all(name.startswith("coredns-") for name in found)
    else:
        assert found == expected


def test_every_first_word_is_completed(user: User) -> None:
    assert complete(user.session, "") == ("", sorted(names()))
