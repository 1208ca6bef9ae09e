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
# # DNS round robin against a virtual address
#
# Why does Kubernetes bother with virtual addresses? A name with several addresses would spread the load as well.
# The difference shows when a pod goes. You need `07-headless` and `10-pod-dies`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# Four ways to the same three pods: by ClusterIP; by a headless name that is looked up for each request; by one that
# is kept for 30 s as a JVM does; by one that is kept for ever. At 40 s a pod is deleted.
#
# **Guess:** for how long does each of the four fail?

# %%
result = netsim.load(root / "experiments/dns-round-robin.yaml").run()
result.plot.clients()

# %%
result.plot.timeline("web")

# %%
result.plot.timeline("web-jvm")

# %%
result.plot.timeline("web-forever")

# %% [markdown]
# The ClusterIP does not change, so it may be kept for ever: the list of pods is in the nodes' rules, and these are
# changed within a moment. An address of a pod is worth nothing when the pod is gone, and who keeps it does not
# know.
#
# **Guess:** is the load at least spread evenly by DNS?

# %%
result.plot.split("web")

# %%
result.plot.split("web-forever")

# %% [markdown]
# Nine clients that look up once are nine throws of the dice, however many requests they make. That is the lesson of
# `05-split` again: what matters is how often somebody chooses.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("round-robin", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"vip": ..., "cached": ..., "addresses": ...}
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
