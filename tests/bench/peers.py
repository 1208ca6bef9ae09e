"""`make bench-peers`: packet-hops of netsim beside those of ns.py, ns-3 and a plain Scapy-on-SimPy simulator.

Each peer runs as its users run it, in a virtual environment of its own below .venv/peers, which this script makes
(ns-py and ns3 both install a module `ns`). Rounds are interleaved, with bare SimPy before and after each case, so
every figure is a ratio of things measured within a second of each other. ns-3 is the PyPI wheel, a C++ program against
its release libraries; it needs g++ and is left out, with a word, where there is none.

What is in the figures differs, and is said beside them: ns.py moves packets without headers; ns-3 runs its whole UDP/IP
stack over four links, without NAT; netsim's request and reply cross eight links with conntrack, DNAT and its reverse.
"""

import argparse
import gc
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from anchor import Measured, bare_simpy
from bench import echo

HERE = Path(__file__).parent
PEERS = Path(".venv/peers")
# The versions compared with; ns-py 0.4.3 is the last for Python 3.11.
NSPY, NS3 = "ns-py==0.4.3", "ns3==3.44.post0"
_MODULES = (
    "applications", "internet", "point-to-point", "traffic-control", "bridge", "network", "stats", "core",
)  # fmt: skip


def environment(name: str, package: str) -> Path:
    """A virtual environment with one package; its interpreter."""
    folder = PEERS / name
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    return python


def told(command: list[str]) -> Measured:
    """Operations and seconds that a program prints."""
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    found = json.loads(run.stdout)
    return found["operations"], found["seconds"]


def nspy() -> Callable[[], Measured]:
    """ns.py."""
    python = environment("nspy", NSPY)
    return lambda: told([str(python), str(HERE / "nspy_chain.py"), "5000"])


def ns3() -> Callable[[], Measured] | None:
    """ns-3, compiled here; None without a compiler."""
    if shutil.which("g++") is None:
        return None
    python = environment("ns3", NS3)
    site = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    wheel, program = Path(site.stdout.strip()) / "ns3", PEERS / "ns3_chain"
    if not program.exists():
        libraries = [f"-lns3.44-{module}" for module in _MODULES]
        compiler = [
            "g++",
            "-O2",
            "-std=c++20",
            f"-I{wheel}/include",
            str(HERE / "ns3_chain.cc"),
            "-o",
            str(program),
        ]
        linker = [f"-L{wheel}/lib64", *libraries, f"-Wl,-rpath,{wheel}/lib64", "-Wl,--allow-shlib-undefined"]
        subprocess.run([*compiler, *linker], check=True)
    return lambda: told([str(program), "10000"])


def naive(packets: int = 150, hops: int = 4) -> Measured:
    """What one writes first: a process and a Store per link, a Scapy packet copied and rewritten at each hop."""
    import simpy
    from scapy.layers.inet import IP, UDP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    env = simpy.Environment()
    stores = [simpy.Store(env) for _ in range(hops + 1)]

    def link(number: int):  # type: ignore[no-untyped-def]
        while True:
            packet = yield stores[number].get()
            yield env.timeout(len(packet) * 8 / 10e9 + 10e-6)
            copy = packet.copy()
            copy[IP].ttl -= 1
            del copy[IP].chksum
            stores[number + 1].put(copy)

    for number in range(hops):
        env.process(link(number))
    for sport in range(packets):
        stores[0].put(Ether() / IP(dst="10.96.0.10") / UDP(sport=sport + 1024, dport=80) / Raw(b"x" * 64))
    gc.collect()
    begin = time.perf_counter()
    env.run(until=1)
    return packets * hops, time.perf_counter() - begin


def main() -> int:
    """Run the rounds and print the ratios."""
    parser = argparse.ArgumentParser(description="netsim beside its peers, in packet-hops.")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    cases: dict[str, Callable[[], Measured]] = {
        "netsim": lambda: echo(5000, 64),
        "ns.py": nspy(),
        "naive": naive,
    }
    compiled = ns3()
    if compiled is not None:
        cases["ns-3"] = compiled
    else:
        print("ns-3 is left out: there is no g++", file=sys.stderr)
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(options.rounds):
        for name, case in cases.items():
            before = bare_simpy()
            operations, seconds = case()
            after = bare_simpy()
            rates[name].append(operations / seconds / ((before[0] + after[0]) / (before[1] + after[1])))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    found = {f"{name}_packet_hops_per_simpy_event": round(value, 5) for name, value in medians.items()}
    found |= {
        f"netsim_over_{n}": round(medians["netsim"] / v, 2) for n, v in medians.items() if n != "netsim"
    }
    print(json.dumps(found, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
