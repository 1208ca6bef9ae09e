"""`netsim examples`: the experiments that come with netsim, each with the first sentence of its file.

Called by: `main`. `netsim run --example NAME` runs one.
"""


def examples() -> None:
    """List the experiments that come with netsim."""
    from netsim.experiment.data import examples as there

    found = there()
    width = max(len(name) for name in found)
    for name, path in found.items():
        first = path.read_text("utf-8").splitlines()[0].removeprefix("#").strip()
        print(f"{name:<{width}}  {first}")
