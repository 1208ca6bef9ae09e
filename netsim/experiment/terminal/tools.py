"""The tools of a node: iptables-save, nft, ipvsadm, ipset, conntrack, ip, in their own formats.

Called by: `session`, with the node on which the user works (or the one named as the last word). Options that are not
simulated are refused with those that are.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from netsim.experiment.kubectl.context import Context, KubectlError
from netsim.experiment.views import VIEWS
from netsim.kernel import ipset as ipsets
from netsim.kernel import ipvs_text
from netsim.wire.addr import ip_text

if TYPE_CHECKING:
    from netsim.kernel.netns import Device, Namespace

_LOOPBACK: Final = b"\x7f\0\0\1"
_TABLES: Final = ("raw", "mangle", "nat", "filter", "security")


def iptables_save(context: Context, ns: "Namespace", args: Sequence[str], *, v6: bool = False) -> int:
    """iptables-save [-c] [-t TABLE]"""
    counters, table, waiting = False, "", list(args)
    name = "ip6tables-save" if v6 else "iptables-save"
    while waiting:
        word = waiting.pop(0)
        if word in ("-c", "--counters"):
            counters = True
        elif word in ("-t", "--table") and waiting:
            table = waiting.pop(0)
        else:
            raise KubectlError(f"{name}: {word} is not simulated (known: -c, -t TABLE)")
    if table and table not in _TABLES:
        raise KubectlError(f"{name}: can't initialize {name} table `{table}': Table does not exist")
    xtables = ns.ip6tables if v6 else ns.xtables
    if xtables is None:
        return 0
    if ns.conntrack is not None:
        ns.conntrack.settle()
    text = xtables.save(counters=counters, tool=True)
    context.out(_only_table(text, table) if table else text)
    return 0


def _only_table(text: str, table: str) -> str:
    begin = text.find(f"*{table}\n")
    return "" if begin < 0 else text[begin : text.index("COMMIT\n", begin) + len("COMMIT\n")]


def ip6tables_save(context: Context, ns: "Namespace", args: Sequence[str]) -> int:
    """ip6tables-save [-c] [-t TABLE]"""
    return iptables_save(context, ns, args, v6=True)


def nft(context: Context, ns: "Namespace", args: Sequence[str]) -> int:
    """nft list ruleset | nft list table FAMILY NAME | nft list tables"""
    words = [arg for arg in args if not arg.startswith("-")]
    text = VIEWS["nftables"](ns, context.now)
    if words == ["list", "ruleset"]:
        context.out(text)
        return 0
    heads = [line for line in text.splitlines() if line.startswith("table ")]
    if words == ["list", "tables"]:
        context.out("".join(f"{line.removesuffix(' {')}\n" for line in heads))
        return 0
    if words[:2] == ["list", "table"] and len(words) == 4:
        head = f"table {words[2]} {words[3]} {{"
        if head not in heads:
            raise KubectlError(f"Error: No such file or directory\nlist table {words[2]} {words[3]}")
        begin = text.index(f"{head}\n")
        context.out(text[begin : text.index("\n}\n", begin) + 3])
        return 0
    raise KubectlError("nft: known are `list ruleset`, `list tables` and `list table FAMILY NAME`")


def ipvsadm(context: Context, ns: "Namespace", args: Sequence[str]) -> int:
    """ipvsadm -Ln [--stats | -c]"""
    letters = "".join(arg[1:] for arg in args if arg.startswith("-") and not arg.startswith("--"))
    long = {arg for arg in args if arg.startswith("--")}
    unknown = set(letters) - set("Llnc") or long - {"--stats", "--list", "--numeric", "--connection"}
    if unknown or len(args) != sum(arg.startswith("-") for arg in args):
        raise KubectlError("ipvsadm: known are -Ln, -Ln --stats and -Lnc")
    if ns.ipvs is None:
        context.out(ipvs_text.EMPTY)
        return 0
    if ns.conntrack is not None:
        ns.conntrack.settle()
    if "c" in letters or "--connection" in long:
        context.out(ipvs_text.connections(ns.ipvs, context.now))
    elif "--stats" in long:
        context.out(ipvs_text.stats(ns.ipvs))
    else:
        context.out(ipvs_text.listing(ns.ipvs))
    return 0


def ipset(context: Context, ns: "Namespace", args: Sequence[str]) -> int:
    """ipset list [NAME]"""
    if args[:1] not in (["list"], ["-L"], ["-n"]) or len(args) > 2:
        raise KubectlError("ipset: known is `list [NAME]`")
    sets = ns.xtables.ipsets if ns.xtables is not None else {}
    if len(args) == 2:
        if args[1] not in sets:
            raise KubectlError("ipset v7.19: The set with the given name does not exist")
        context.out(ipsets.listing([sets[args[1]]]))
    else:
        context.out(ipsets.listing(sets.values()))
    return 0


_FILTERS: Final = {
    "-s": "src={}", "--src": "src={}", "--orig-src": "src={}", "-d": "dst={}", "--dst": "dst={}",
    "--orig-dst": "dst={}", "--sport": "sport={}", "--dport": "dport={}",
}  # fmt: skip


def conntrack(context: Context, ns: "Namespace", args: Sequence[str]) -> int:
    """conntrack -L [-p PROTO] [-s|-d ADDRESS] [--sport|--dport PORT] | conntrack -C"""
    if ns.conntrack is None:
        return 0
    waiting = list(args)
    lines = ns.conntrack.render(context.now).splitlines()
    count = False
    while waiting:
        word = waiting.pop(0)
        if word in ("-L", "--dump"):
            continue
        if word in ("-C", "--count"):
            count = True
        elif word in ("-p", "--proto") and waiting:
            protocol = waiting.pop(0)
            lines = [line for line in lines if line.split()[0] == protocol]
        elif word in _FILTERS and waiting:
            wanted = _FILTERS[word].format(waiting.pop(0))
            lines = [line for line in lines if wanted in _original(line)]
        else:
            raise KubectlError(
                f"conntrack: {word} is not simulated (known: -L, -C, -p, -s, -d, --sport, --dport)"
            )
    if count:
        context.out(f"{len(lines)}\n")
        return 0
    context.out("".join(f"{line}\n" for line in lines))
    context.err(f"conntrack v1.4.8 (conntrack-tools): {len(lines)} flow entries have been shown.\n")
    return 0


def _original(line: str) -> list[str]:
    """The words of the original direction: up to the second `src=`."""
    words = line.split()
    begins = [index for index, word in enumerate(words) if word.startswith("src=")]
    return words[begins[0] : begins[1]] if len(begins) > 1 else words


# ---------------------------------------------------------------------- ip
def ip(context: Context, ns: "Namespace", args: Sequence[str]) -> int:
    """ip [-4|-6] route | addr [show [dev] NAME] | link"""
    family = 16 if "-6" in args else 4
    words = [arg for arg in args if not arg.startswith("-")]
    what = words[0] if words else ""
    if what and "route".startswith(what):
        context.out(ns.routes.render(family))
        return 0
    name = next((word for word in words[1:] if word not in ("show", "list", "ls", "dev")), "")
    if name and name not in ns.devices:
        raise KubectlError(f'Device "{name}" does not exist.')
    if what and ("address".startswith(what) or "link".startswith(what)):
        families = (16,) if "-6" in args else (4,) if "-4" in args else (4, 16)
        with_addresses = not "link".startswith(what)
        for index, device in enumerate(ns.devices.values(), 1):
            if name in ("", device.name):
                context.out(_device(ns, index, device, families if with_addresses else ()))
        return 0
    raise KubectlError("ip: known are `ip route`, `ip addr` and `ip link`")


def _device(ns: "Namespace", index: int, device: "Device", families: tuple[int, ...]) -> str:
    """One device as iproute2 prints it (ip/ipaddress.c)."""
    loop = device.name == "lo"
    flags = ["LOOPBACK"] if loop else ["BROADCAST", "MULTICAST"]
    flags += ["UP", "LOWER_UP"] if device.up else []
    state = "UNKNOWN" if loop and device.up else "UP" if device.up else "DOWN"
    text = f"{index}: {device.name}: <{','.join(flags)}> mtu {device.mtu} qdisc noqueue state {state} group default \n"
    kind, broadcast = ("loopback", "00:00:00:00:00:00") if loop else ("ether", "ff:ff:ff:ff:ff:ff")
    text += f"    link/{kind} {device.mac.hex(':')} brd {broadcast}\n"
    own = [address for address, owner in ns.addresses.items() if owner is device]
    if loop and _LOOPBACK not in own and ns.is_local(_LOOPBACK):
        own.insert(0, _LOOPBACK)
    for address in own:
        if len(address) not in families:
            continue
        word = "inet" if len(address) == 4 else "inet6"
        scope = "host" if loop else "link" if address[:2] == b"\xfe\x80" else "global"
        name = f" {device.name}" if len(address) == 4 else ""
        text += f"    {word} {ip_text(address)}/{_length(ns, address, device)} scope {scope}{name}\n"
        text += "       valid_lft forever preferred_lft forever\n"
    return text


def _length(ns: "Namespace", address: bytes, device: "Device") -> int:
    """The prefix length: that of the network which is on the link through this address."""
    if device.name == "lo":
        return 8 if address[:1] == b"\x7f" else len(address) * 8
    own = [
        route.prefix.length
        for route in ns.routes
        if route.device is device and route.source == address and route.gateway is None
    ]
    return max(own, default=len(address) * 8)


TOOLS: Final[Mapping[str, Callable[[Context, "Namespace", Sequence[str]], int]]] = {
    "conntrack": conntrack,
    "ip": ip,
    "ip6tables-save": ip6tables_save,
    "ipset": ipset,
    "iptables-save": iptables_save,
    "ipvsadm": ipvsadm,
    "nft": nft,
}
