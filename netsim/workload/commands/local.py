"""Commands that need no network: files, environment, addresses of the machine, and filters for pipes."""

import re
from typing import TYPE_CHECKING

from netsim.wire.addr import ip_text
from netsim.workload.commands.call import Call, Steps, options

if TYPE_CHECKING:
    from netsim.cluster.dns.resolvconf import ResolvConf


def files_of(call: Call) -> dict[str, str]:
    """The files that the kubelet and the container runtime write, besides those of the machine."""
    host = call.host
    conf: ResolvConf | None = host.resolv_conf
    name = host.hostname
    return {
        "/etc/resolv.conf": conf.render() if conf is not None else "",
        "/etc/hostname": f"{name}\n",
        "/etc/hosts": f"# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n{ip_text(host.address)}\t{name}\n",
        **call.machine.files,
    }


def cat(call: Call) -> int:
    """cat FILE..."""
    if not call.args:
        call.out(call.stdin)
        return 0
    files, code = files_of(call), 0
    for path in call.args:
        if path == "/dev/null":
            continue
        if path in files:
            call.out(files[path])
        else:
            tool = "cat: can't open" if call.machine.busybox else "cat:"
            shown = f"'{path}'" if call.machine.busybox else path
            code = call.fail(f"{tool} {shown}: No such file or directory")
    return code


def env(call: Call) -> int:
    """env: all variables, in the order in which the kubelet gave them."""
    for name, value in call.machine.env.items():
        call.out(f"{name}={value}\n")
    return 0


def printenv(call: Call) -> int:
    """printenv [NAME...]"""
    if not call.args:
        return env(call)
    missing = [name for name in call.args if name not in call.machine.env]
    for name in call.args:
        if name in call.machine.env:
            call.out(f"{call.machine.env[name]}\n")
    return 1 if missing else 0


def echo(call: Call) -> int:
    """echo WORDS..."""
    newline = not (call.args and call.args[0] == "-n")
    call.out(" ".join(call.args if newline else call.args[1:]) + ("\n" if newline else ""))
    return 0


def hostname(call: Call) -> int:
    """hostname [-i]"""
    call.out(f"{ip_text(call.host.address) if '-i' in call.args else call.host.hostname}\n")
    return 0


def ip_command(call: Call) -> int:
    """ip route | ip addr (the addresses, briefly)."""
    words = [word for word in call.args if not word.startswith("-")]
    if words[:1] in (["route"], ["r"]):
        call.out(call.host.ns.routes.render())
        return 0
    if words[:1] in (["addr"], ["a"], ["address"]):
        for number, device in enumerate(call.host.ns.devices.values(), 1):
            state = "UP" if device.up else "DOWN"
            call.out(f"{number}: {device.name}: <{state}> mtu {device.mtu} qdisc noqueue state {state}\n")
            for address, owner in call.host.ns.addresses.items():
                if owner is device:
                    family = "inet" if len(address) == 4 else "inet6"
                    call.out(
                        f"    {family} {ip_text(address)}/{len(address) * 8} scope global {device.name}\n"
                    )
        return 0
    return call.fail('ip: only "ip route" and "ip addr" are simulated', 2)


def sleep(call: Call) -> Steps:
    """sleep SECONDS"""
    try:
        seconds = float(call.args[0].removesuffix("s"))
    except (IndexError, ValueError):
        return call.fail("sleep: invalid time interval")
    yield from call.sleep(int(seconds * 1e9))
    return 0


def true(_call: Call) -> int:
    """true"""
    return 0


def false(_call: Call) -> int:
    """false"""
    return 1


# ---------------------------------------------------------------------- filters
def grep(call: Call) -> int:
    """grep [-iv] PATTERN"""
    try:
        found, words = options(call.args, "e", "ivEFcqn")
        pattern = re.compile(found.get("e") or words[0], re.IGNORECASE if "i" in found else 0)
    except (ValueError, IndexError, re.error):
        return call.fail("Usage: grep [-ivcq] PATTERN", 2)
    lines = [line for line in call.stdin.splitlines() if (pattern.search(line) is None) == ("v" in found)]
    if "c" in found:
        call.out(f"{len(lines)}\n")
    elif "q" not in found:
        call.out("".join(f"{line}\n" for line in lines))
    return 0 if lines else 1


def sort(call: Call) -> int:
    """sort [-ru]"""
    lines = sorted(call.stdin.splitlines(), reverse="-r" in call.args)
    call.out("".join(f"{line}\n" for line in (dict.fromkeys(lines) if "-u" in call.args else lines)))
    return 0


def uniq(call: Call) -> int:
    """uniq [-c]"""
    groups: list[tuple[str, int]] = []
    for line in call.stdin.splitlines():
        if groups and groups[-1][0] == line:
            groups[-1] = (line, groups[-1][1] + 1)
        else:
            groups.append((line, 1))
    counted = "-c" in call.args
    call.out("".join(f"{count:>7} {line}\n" if counted else f"{line}\n" for line, count in groups))
    return 0


def head(call: Call) -> int:
    """head [-n N]"""
    return _part(call, lambda lines, n: lines[:n])


def tail(call: Call) -> int:
    """tail [-n N]"""
    return _part(call, lambda lines, n: lines[-n:] if n else [])


def _part(call: Call, cut) -> int:  # type: ignore[no-untyped-def]
    digits = "".join(call.args).removeprefix("-").removeprefix("n").strip()
    number = int(digits) if digits.isdigit() else 10
    call.out("".join(cut(call.stdin.splitlines(keepends=True), number)))
    return 0


def wc(call: Call) -> int:
    """wc [-l]"""
    lines = call.stdin.count("\n")
    if "-l" in call.args:
        call.out(f"{lines}\n")
    else:
        call.out(f"{lines:>7} {len(call.stdin.split()):>7} {len(call.stdin):>7}\n")
    return 0
