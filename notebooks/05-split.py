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
# # The split and its chance
#
# kube-proxy in iptables mode throws dice for each new *connection*. This lab is about what follows from the two
# words "dice" and "connection". You need `03-cluster-ip`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# ## Dice
#
# Three pods, 6,000 connections, each of them for one request.
#
# **Guess:** how far from 33.3 percent will the pods be? Write down a number of percentage points.

# %%
result = netsim.load(root / "experiments/load-split-short.yaml").run()
result.plot.split("my-nginx")

# %% [markdown]
# The hatched band holds 95 of 100 shares when only chance decides: about two standard deviations, sqrt(p (1 - p) /
# n). Four times as many connections make it half as wide.

# %%
from math import sqrt

for connections in (60, 600, 6000):
    print(
        f"{connections:>5} connections: plus or minus {100 * 1.96 * sqrt(1 / 3 * 2 / 3 / connections):.1f} points"
    )

# %% [markdown]
# ## Connections
#
# The other load has four connections and keeps them.
#
# **Guess:** can four connections be spread evenly over three pods?

# %%
result.plot.split("my-nginx-pooled")

# %%
for service in result.services:
    print(f"{service}: {result.load_split(service).verdict}\n")

# %% [markdown]
# The test says *chance* for both: a hot pod behind few connections is no fault of the rules. More connections, or a
# balancer that looks at requests, would help.
#
# ## The same dice again
#
# **Guess:** the same experiment with the same seed: the same split, or a new one? And with another seed?

# %%
experiment = netsim.load(root / "experiments/load-split-short.yaml")
for seed in (1, 1, 2):
    again = experiment.run(seed=seed)
    print(seed, again.fingerprint[:12], list(again.load_split("my-nginx").table["connections"]))

# %% [markdown]
# Everything random is drawn from the seed. That is why an experiment can be repeated by somebody else.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("split", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"probability": ..., "busiest": ..., "kept_pods": ..., "verdict": ...}
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
