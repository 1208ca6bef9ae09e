"""Measuring: records in, tables, statistics, figures and text out.

A `Recorder` listens to the bus during a run (`collect`); `frames` makes tidy pandas tables of what it heard; `split`
judges how evenly a Service spread its connections; `failover` takes an outage apart into stages; `books` shows that no
packet vanished; `fingerprint` identifies a run; `figures` and `text` show it all. Nothing here touches the simulation.

Modules are imported by name where they are needed (`from netsim.measure.split import load_split`), so that a command
that draws nothing does not wait for pandas or matplotlib.
"""
