"""One Linux network namespace: hooks, the packet path, routing, neighbours, conntrack, NAT, xtables, TCP and sockets.

Pure and synchronous: time is an argument, devices and timers are handed in, so tests need no simulation. A packet's
life reads in `path.py`; the hook diagram stands in `hooks.py`. The kernel never sees a Service.
"""
