"""`help`: what there is to type.

Called by: `session`.
"""

from typing import Final

_TOPICS: Final = {
    "run": "run DURATION\n  Let time pass: run 10s, run 500ms, run 2m. Ctrl-C stops it between two steps.\n",
    "until": (
        "until pod NAME ready|notready|gone      until deployment NAME available\n"
        "until pods ready                        until node NAME ready|notready\n"
        "until endpoints SERVICE [COUNT]         ... --timeout 60s\n"
        "  Let time pass until it is so, and say how long it took.\n"
    ),
    "time": "time\n  How late it is.\n",
    "fault": (
        "fault ACTION KEY=VALUE... [for DURATION]\n"
        "  An experiment's fault, now: fault pod-kill run=my-nginx, fault node-crash node=worker-1,\n"
        "  fault link-netem node=worker-1 delay=50ms loss=1% for 10s, fault pod-hang pod=web-0 for 5s,\n"
        "  fault kube-proxy-stop node=worker-2 for 30s, fault link-down node=worker-1 for 20s;\n"
        "  with mode=all, or mode=fixed value=2, more than one of those selected.\n"
    ),
    "load": (
        "load start from=LABELS to=URL rate=RATE [KEY=VALUE...]    load stop [NAME]    load\n"
        "  Clients that ask while time passes: load start from=run=client to=http://my-nginx/ rate=50/s.\n"
    ),
    "tcpdump": (
        "tcpdump -i IFACE|any|pod/NAME [-n] [-c COUNT] [--for DURATION] [--node NODE] [FILTER] [&]\n"
        "  Packets on an interface of the node in use (or of a pod), while time runs. With & it goes on behind other\n"
        "  commands; `jobs` and `kill %1`. Filters: host, net, port, portrange with src and dst; tcp, udp, icmp, arp;\n"
        "  and, or, not.\n"
    ),
    "use": "use NODE\n  The node on which iptables-save, ipvsadm, tcpdump... work; the first worker to begin with.\n",
    "ssh": "ssh NODE COMMAND\n  A command on another node, or on a host outside: ssh worker-2 iptables-save -t nat.\n",
    "explain": (
        "explain --from pod/NAME --to http://SERVICE/\n"
        "  Follow one request through every hook, rule, rewrite and link.\n"
    ),
    "jobs": "jobs, kill %NUMBER\n  What goes on behind, and its end.\n",
    "books": "books\n  Every packet so far: sent, delivered, dropped and why.\n",
}
_TOPICS["kill"] = _TOPICS["jobs"]
_OVERVIEW: Final = """\
kubectl get|describe|apply|delete|scale|rollout|exec|drain|cordon...   `help kubectl`, `kubectl VERB --help`
iptables-save  nft list ruleset  ipvsadm -Ln  ipset list  conntrack -L  ip route  ip addr     on the node in use
tcpdump -i IFACE [-n] [-c N] [FILTER] [&]     packets, while time runs
use NODE      the node in use                 ssh NODE COMMAND   a command on another one
run 10s       let time pass                   until pod NAME ready   let it pass until something is so
fault ...     something goes wrong            load start ...     clients that ask
explain ...   one request, hop by hop         books, time, jobs, exit
`help WORD` says more. Commands may be divided by ; && || and filtered by | grep, head, tail, sort, uniq, wc.
Time passes only when a command lets it: run, until, kubectl exec, wait, rollout status, delete, drain, -w, tcpdump.
"""


def guide(topic: str = "") -> str:
    """Help about a command, or an overview."""
    return _TOPICS.get(topic, _OVERVIEW)
