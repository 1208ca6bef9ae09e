"""Network namespaces of the real kernel, entered by the thread that wants to act in one.

A socket stays in the namespace in which it was made, so one process holds the sockets of all: `with ns.entered():`
around the making, and no helper processes. Names begin with `netsim-PID-`; what this process made is removed by name,
at its end at the latest. Needs root.
"""

import atexit
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

TOOLS = ("ip", "iptables-save", "iptables-restore", "ip6tables-save", "ip6tables-restore", "nft", "conntrack")
PREFIX = f"netsim-{os.getpid()}"
_NETNS = Path("/run/netns")
_CLONE_NEWNET = 0x4000_0000
_TOOL_TIMEOUT_S = 20
# One rule for each part of netfilter that kube-proxy's rules need.
_TRIAL = """*filter
-A FORWARD -m conntrack --ctstate NEW -m comment --comment x -j REJECT
COMMIT
*nat
-A OUTPUT -m addrtype --dst-type LOCAL -m statistic --mode random --probability 0.5 -j MARK --set-xmark 0x1/0x1
-A OUTPUT -m recent --rcheck --seconds 1 --reap --name x -m mark --mark 0x1/0x1 -j RETURN
-A POSTROUTING -j MASQUERADE --random-fully
COMMIT
"""
_NFT_TRIAL = """table ip x {
    set s { type ipv4_addr; flags dynamic,timeout; timeout 1s; }
    chain a { update @s { ip saddr }; meta l4proto tcp dnat to 10.0.0.1:80; }
    chain b {
        type nat hook output priority -100;
        fib daddr type local meta l4proto tcp numgen random mod 2 vmap { 0 : goto a, 1 : goto a }
    }
}
"""

_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)
_made: set[str] = set()


def missing() -> str:
    """What keeps the referee from working here, or ""."""
    lacking = [tool for tool in TOOLS if shutil.which(tool) is None]
    if lacking:
        return f"no {', '.join(lacking)} (Debian: iptables nftables iproute2 conntrack)"
    if os.geteuid() != 0:
        return "not root"
    try:
        _sweep()
        with RealNamespace("try") as ns:
            for command in ("iptables-restore", "ip6tables-restore"):
                ns.run(command, stdin=_TRIAL)
            ns.run("nft", "-f", "-", stdin=_NFT_TRIAL)
    except OSError as error:
        return f"no network namespaces here, or not all of netfilter: {str(error).splitlines()[0]}"
    return ""


def require(reason: str, in_ci: bool) -> None:
    """Skip a test for a reason, or in CI fail it."""
    if reason and in_ci:
        pytest.fail(f"the real kernel has to be asked in CI: {reason}")
    if reason:
        pytest.skip(f"the real kernel cannot be asked: {reason}")


def _sweep() -> None:
    """Remove what runs have left behind that were killed."""
    for path in _NETNS.glob("netsim-*") if _NETNS.exists() else ():
        pid = path.name.split("-")[1]
        if pid.isdigit() and not Path("/proc", pid).exists():
            tool("ip", "netns", "delete", path.name)


def tool(*command: str, stdin: str = "") -> str:
    """Run a tool; what it prints. Raises CalledProcessError, whose text has what the tool said."""
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=_TOOL_TIMEOUT_S, check=False
    )
    if done.returncode:
        raise ToolError(f"{' '.join(command)}: {done.stderr.strip()}\n{stdin}")
    return done.stdout


class ToolError(OSError):
    """A tool refused; the text is what it said, and what it was given."""


class RealNamespace:
    """One namespace. A context manager that removes it."""

    def __init__(self, role: str) -> None:
        self.name = f"{PREFIX}-{next(_numbers)}-{role}"
        tool("ip", "netns", "add", self.name)
        _made.add(self.name)
        self.fd = os.open(_NETNS / self.name, os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread makes or starts meanwhile is in the namespace."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(self.fd)
            try:
                yield
            finally:
                _enter(home)
        finally:
            os.close(home)

    def run(self, *command: str, stdin: str = "") -> str:
        """Run a tool in the namespace."""
        with self.entered():
            return tool(*command, stdin=stdin)

    def ip(self, family: int, *commands: str) -> None:
        """`ip` commands, for IPv4 or IPv6."""
        tool("ip", f"-{family}", "-n", self.name, "-batch", "-", stdin="\n".join(commands))

    def sysctl(self, **values: int) -> None:
        """Settings below net/, `__` standing for the slash. One that this kernel has not is passed over."""
        with self.entered():
            for key, value in values.items():
                with suppress(FileNotFoundError):
                    Path("/proc/sys/net", key.replace("__", "/")).write_text(str(value), encoding="ascii")

    def remove(self) -> None:
        """Take it away, with its devices."""
        if self.name in _made:
            os.close(self.fd)
            _made.discard(self.name)
            tool("ip", "netns", "delete", self.name)

    def __enter__(self) -> "RealNamespace":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.remove()


def _enter(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


@atexit.register
def _remove_all() -> None:
    for name in sorted(_made):
        with suppress(OSError, subprocess.SubprocessError):
            tool("ip", "netns", "delete", name)
