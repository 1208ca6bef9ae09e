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
# # NodePort, LoadBalancer and source addresses
#
# From outside nobody can reach a pod or a ClusterIP. A NodePort opens a port on *every* node; a load balancer sends
# to these ports. Which address does the pod see, and how is the load spread? You need `05-split`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
cluster = netsim.Cluster(root / "topologies/external-policy.yaml", seed=1)
cluster.settle()
cluster.plot()

# %% [markdown]
# One, two and three pods on three workers. Two Services in front of the same pods: `web-cluster` with
# `externalTrafficPolicy: Cluster`, `web-local` with `Local`.
#
# **Guess:** through how many machines does a request to each of them go, and whose address does the pod see?

# %%
explained = cluster.explain("external/laptop", "http://203.0.113.128/")
print(explained.outcome)
explained.journey.filtered(lambda packet: "[S" in packet.summary).plot("externalTrafficPolicy: Cluster")

# %%
local = cluster.explain("external/laptop", "http://203.0.113.129/")
print(local.outcome)
local.journey.filtered(lambda packet: "[S" in packet.summary).plot("externalTrafficPolicy: Local")

# %% [markdown]
# With Cluster the node masks the client: the pod may be on another node, and the answer has to come back through
# this one. With Local there is no second node, so the address can stay.
#
# ## The split
#
# **Guess:** six pods. Which share does each of them get under Cluster? And the pod that is alone on its node under
# Local?

# %%
result = netsim.load(root / "experiments/external-policy.yaml").run()
result.plot.split("web-cluster")

# %%
result.plot.split("web-local")

# %% [markdown]
# The balancer counts nodes, not pods: a third per node. The lonely pod gets all of its node's third, three times as
# much as each of the three on the last node. The test finds a *cause* here.

# %%
for service in ("web-cluster", "web-local"):
    print(f"{service}: {result.load_split(service).verdict}\n")

# %% [markdown]
# **Guess:** which of the two is quicker on average, and by how much? Then look.

# %%
result.requests.groupby("service").latency_ns.describe()[["count", "mean", "50%", "max"]] / 1e6

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("node-port", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"other_node": ..., "masqueraded": ...}
lab.check(answers)

# %% [markdown]
# Now change `manifests.yaml`. Copy the text that is printed between the quotes of the next cell, change it there
# and run it.

# %%
print(lab.files["manifests.yaml"])

# %%
mine = """
"""
lab.check(answers, {"manifests.yaml": mine} if mine.strip() else {})
