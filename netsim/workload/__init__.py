"""Clients, servers and faults: what happens to a cluster from outside, and the records of it."""
