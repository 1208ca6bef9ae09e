"""Packets through four Port+Wire hops in ns.py, for peers.py: prints packet-hops and seconds as JSON. No headers, no
NAT. Runs in a virtual environment of its own that has ns-py. Argument: PACKETS."""

import json
import sys
import time

import simpy
from ns.packet.dist_generator import DistPacketGenerator
from ns.packet.sink import PacketSink
from ns.port.port import Port
from ns.port.wire import Wire

HOPS = 4


def main(packets: int) -> None:
    """Build the chain and run it."""
    env = simpy.Environment()
    source = DistPacketGenerator(env, "source", lambda: 20e-6, lambda: 118)
    source.finish = packets * 20e-6
    sink = PacketSink(env, rec_arrivals=False, rec_waits=False)
    last = source
    for _ in range(HOPS):
        last.out = Port(env, 10e9, qlimit=1000)
        last.out.out = Wire(env, lambda: 10e-6)
        last = last.out.out
    last.out = sink
    begin = time.perf_counter()
    env.run()
    seconds = time.perf_counter() - begin
    print(json.dumps({"operations": HOPS * sum(sink.packets_received.values()), "seconds": seconds}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
