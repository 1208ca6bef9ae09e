# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # When a node dies
#
# A node loses power. Nobody says so: the cluster has to miss its heartbeats. The kubelet renews its lease every 10
# s, and the controller waits for a grace period, 40 s until Kubernetes 1.31 and 50 s since 1.32. You need
# `10-pod-dies`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# **Guess:** between which two times is the outage? How do requests to the dead node fail?

# %%
experiment = netsim.load(root / "experiments/node-crash.yaml")
result = experiment.run(replications=2)
result.plot.failover("my-nginx")

# %%
print(result.failover("my-nginx").sentence("node-crash-1"))
result.plot.timeline("my-nginx")

# %% [markdown]
# Nobody refuses for a dead machine: every request waits for its time-out, and only those fail whose connection the
# dice sent there.
#
# ## What the API says meanwhile
#
# Step through the same crash by hand and look at the node and at the endpoints.
#
# **Guess:** in which order do these change: the node's condition, the pod's readiness, the EndpointSlice, the
# rules?

# %%
cluster = experiment.begin()  # loads and faults are under way
for moment in ("14s", "16s", "30s", "45s", "55s", "60s", "65s", "70s"):
    cluster.at(moment)
    nodes = {node.metadata.name: node.status.conditions for node in cluster.api.list("Node")}
    lost = [
        name for name, found in nodes.items() if any(c.type == "Ready" and c.status != "True" for c in found)
    ]
    slices = [s for s in cluster.api.list("EndpointSlice") if s.metadata.name.startswith("my-nginx")]
    ready = sum(bool(endpoint.conditions.ready) for s in slices for endpoint in s.endpoints)
    print(f"{moment:>4}  nodes that are not Ready: {lost}  ready endpoints: {ready}")

# %% [markdown]
# ## Two versions
#
# **Guess:** how much later does Kubernetes 1.34 notice than 1.30?

# %%
for version in ("1.30", "1.34"):
    labs = (netsim.Lab("node-dies", f"s{number}") for number in range(50))
    lab0 = next(lab0 for lab0 in labs if lab0.values["version"] == version)
    run = lab0.experiment().run()
    print(version, run.failover().sentence("node-crash-1"))

# %% [markdown]
# Ten seconds: the grace period was raised so that a busy control plane does not evict healthy nodes. A client that
# tries again after one second hardly notices either: each attempt is a new throw of the dice.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("node-dies", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"outage": ..., "kind": ...}
lab.check(answers)

# %% [markdown]
# Now change `experiment.yaml`. Copy the text that is printed between the quotes of the next cell, change it there
# and run it.

# %%
print(lab.files["experiment.yaml"])

# %%
mine = """
"""
lab.check(answers, {"experiment.yaml": mine} if mine.strip() else {})
