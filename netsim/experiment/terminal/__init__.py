"""The terminal: a line of text at a simulated cluster, kubectl and the nodes' own tools, and commands about time.

Called by `netsim shell`, which adds a prompt, completion and history. `session` takes one line at a time and knows
nothing of a screen: it writes to two functions. `line` splits a line into commands; `tools`, `tcpdump`, `times`,
`faults` and `loads` are there beside kubectl; `completion` says what may come next.
"""
