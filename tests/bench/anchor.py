"""The unit of the benchmark: a bare SimPy event."""

import gc
import time

import simpy

Measured = tuple[int, float]  # operations, seconds


def bare_simpy(events: int = 60_000, depth: int = 10) -> Measured:
    """Stock `Environment`, `env.timeout(d).callbacks.append(cb)`, `depth` pending: events and seconds."""
    env = simpy.Environment()
    stop, left = env.event(), events
    delays = [1.0 + (i * 7919 % 1024) / 1024 for i in range(1024)]

    def callback(_event: simpy.Event) -> None:
        nonlocal left
        left -= 1
        if left > 0:
            env.timeout(delays[left & 1023]).callbacks.append(callback)
        elif left == 0:
            stop.succeed()

    for i in range(depth):
        env.timeout(delays[i]).callbacks.append(callback)
    left += depth - 1
    gc.collect()
    start = time.perf_counter()
    env.run(until=stop)
    return events, time.perf_counter() - start
