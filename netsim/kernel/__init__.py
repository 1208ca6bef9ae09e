"""One Linux network namespace: hooks, packet path, routing, neighbours, conntrack, NAT, iptables, nftables, sockets.

Pure and synchronous: time is an argument, devices and timers are handed in, so tests need no simulation. A packet's
life reads in `path.py`; the hook diagram stands in `hooks.py`. The kernel never sees a Service.
"""
