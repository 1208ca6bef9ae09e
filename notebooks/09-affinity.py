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
# # Session affinity
#
# `sessionAffinity: ClientIP` keeps a client on one pod. A *client* is an address here, and each node remembers for
# itself. Both have consequences. You need `08-node-port`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
experiment = netsim.load(root / "experiments/session-affinity.yaml")
experiment.cluster().plot()

# %% [markdown]
# Outside: an office whose four PCs share one address, and four homes with an address each.
#
# **Guess:** three pods. How is the load spread for four homes, for the office, and without affinity?

# %%
result = experiment.run()
result.plot.split("plain")

# %%
result.plot.split("sticky")

# %%
result.plot.split("sticky-office")

# %% [markdown]
# Without affinity: thirds. Four homes: each has its pod, so shares are quarters of the load, put together by
# chance. The office is one client for the cluster, and one pod carries all of it.
#
# **Guess:** behind a load balancer with three nodes: does one home stay on one pod?

# %%
result.plot.split("sticky-balanced")

# %% [markdown]
# Every node has its own list (`-m recent` in iptables mode). The balancer sends connections to all nodes, and each
# of them may have chosen another pod for this client.
#
# Where is it written down?

# %%
cluster = experiment.cluster()
for home in (1, 2, 3, 4):
    print(cluster.explain(f"external/home-{home}", "http://worker-1:30081/").outcome)
rules = cluster.view("iptables", "node/worker-1").splitlines()
print(*[rule for rule in rules if "recent" in rule and "default/sticky " in rule + " "][:6], sep="\n")

# %% [markdown]
# `--rcheck` asks: have I seen this source within the time-out? Then go to the same pod. `--set` writes it down. The
# default time-out is three hours.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("affinity", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"plain": ..., "sticky": ...}
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
