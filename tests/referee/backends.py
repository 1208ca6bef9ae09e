"""kube-proxy's modes, as the referee needs them: rules from our dataplane, the real tool that loads them, and what the
rules have counted. One class per mode.
"""

import re
from collections import Counter
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path
from typing import Any, Protocol

from caselab import World, build
from referee.namespaces import RealNamespace

from netsim.kernel.netns import Namespace
from netsim.kernel.xtables import Xtables

_COUNTED = re.compile(r"^\[(\d+):\d+\] -A (\S+) .*-j (DROP|REJECT|ACCEPT)\b", re.MULTILINE)

_POLICY_COUNT = re.compile(r"(?<= )\[\d+:\d+\]$", re.MULTILINE)


class Backend(Protocol):
    """What is asked of a mode."""

    name: str

    def program(self, case: dict[str, Any], ns: Namespace) -> World:
        """Let our dataplane write the rules of a case into a simulated namespace."""

    def load(self, real: RealNamespace, simulated: Namespace) -> None:
        """Give a simulated namespace's rules to the real tool."""

    def compare(self, real: RealNamespace, simulated: Namespace) -> None:
        """Fail where the tool lists other rules than we do."""

    def counts(self, ns: RealNamespace | Namespace) -> Counter[str] | None:
        """How often the filter rules have dropped, rejected, and accepted in KUBE-NODEPORTS; None if they don't
        count."""

    def forget_clients(self, ns: RealNamespace) -> None:
        """Empty what session affinity remembers."""


class Nftables:
    """nftables. Its rules count nothing."""

    name = "nftables"

    def __init__(self, family: int) -> None:
        self.family = family
        self._flush = ""

    def program(self, case: dict[str, Any], ns: Namespace) -> World:
        """See `Backend`."""
        return build(case, backend=self.name, onto=ns)

    def load(self, real: RealNamespace, simulated: Namespace) -> None:
        """By `nft -f`, in the format of `nft list ruleset`."""
        assert simulated.nft is not None
        real.run("nft", "-f", "-", stdin=simulated.nft.list_ruleset())
        tables = simulated.nft.sets.items()
        learning = [
            (table, name) for table, sets in tables for name, found in sets.items() if found.spec.dynamic
        ]
        self._flush = "".join(f"flush set {table} {name}\n" for table, name in learning)

    def compare(self, real: RealNamespace, simulated: Namespace) -> None:
        """`nft list ruleset`, byte by byte."""
        assert simulated.nft is not None
        ours, theirs = simulated.nft.list_ruleset(), real.run("nft", "list", "ruleset")
        assert theirs == ours, _difference(ours, theirs, "nft")

    def counts(self, ns: RealNamespace | Namespace) -> None:
        """See `Backend`."""

    def forget_clients(self, ns: RealNamespace) -> None:
        """Flush the sets that grow by themselves."""
        ns.run("nft", "-f", "-", stdin=self._flush)


class Iptables:
    """iptables, or ip6tables for family 6."""

    name = "iptables"

    def __init__(self, family: int) -> None:
        self.family = family
        self.tool = "iptables" if family == 4 else "ip6tables"

    def program(self, case: dict[str, Any], ns: Namespace) -> World:
        """See `Backend`."""
        return build(case, backend=self.name, onto=ns)

    def load(self, real: RealNamespace, simulated: Namespace) -> None:
        """By `iptables-restore`, in the format of `iptables-save`."""
        self.restore(real, self.tables(simulated).save(tool=True))

    def tables(self, ns: Namespace) -> Xtables:
        """A simulated namespace's rules of the family."""
        found = ns.xtables if self.family == 4 else ns.ip6tables
        assert found is not None
        return found

    def restore(self, ns: RealNamespace, text: str, *options: str) -> None:
        """`iptables-restore`."""
        ns.run(f"{self.tool}-restore", *options, stdin=text)

    def add(self, real: RealNamespace, simulated: Namespace, text: str) -> None:
        """More rules for both, as for `iptables-restore --noflush`."""
        self.restore(real, text, "--noflush")
        self.tables(simulated).restore(text)

    def compare(self, real: RealNamespace, simulated: Namespace) -> None:
        """`iptables-save`, byte by byte but for its remarks."""
        ours, theirs = self.tables(simulated).save(tool=True), self.save(real)
        assert theirs == ours, _difference(ours, theirs, self.tool)

    def save(self, ns: RealNamespace) -> str:
        """What `iptables-save` prints, without its remarks; policies count what IPv6 says of itself, so they are set
        to zero."""
        lines = _POLICY_COUNT.sub("[0:0]", ns.run(f"{self.tool}-save")).splitlines(keepends=True)
        return "".join(line for line in lines if not line.startswith("#"))

    def counts(self, ns: RealNamespace | Namespace) -> Counter[str]:
        """See `Backend`."""
        if isinstance(ns, RealNamespace):
            text = ns.run(f"{self.tool}-save", "-c", "-t", "filter")
        else:
            text = self.tables(ns).save(counters=True, tool=True)
        found: Counter[str] = Counter()
        for packets, chain, target in _COUNTED.findall(text):
            if target != "ACCEPT" or chain == "KUBE-NODEPORTS":
                found[target] += int(packets)
        return found

    def forget_clients(self, ns: RealNamespace) -> None:
        """Write "/" into every list of xt_recent."""
        with ns.entered():
            for path in sorted(Path("/proc/thread-self/net/xt_recent").iterdir()):
                path.write_text("/\n", encoding="ascii")


def _difference(ours: str, theirs: str, tool: str) -> str:
    return "\n".join(unified_diff(ours.splitlines(), theirs.splitlines(), "ours", tool, lineterm=""))


BACKENDS: dict[str, Callable[[int], Backend]] = {"iptables": Iptables, "nftables": Nftables}
