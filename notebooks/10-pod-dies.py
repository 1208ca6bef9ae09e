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
# # When a pod dies
#
# A pod dies, and for some time requests still go to it. The outage is a sum: somebody has to notice, write it down,
# tell the others, and the rules have to be written. This lab takes the sum apart. You need `05-split`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# ## A process is killed
#
# Three pods, 100 requests per second; after 10 s the processes of one pod are killed. Two replications.
#
# **Guess:** how long is the outage, and which stage takes most of it?

# %%
killed = netsim.load(root / "experiments/pod-kill.yaml").run(replications=2)
killed.plot.failover("my-nginx")

# %%
print(killed.failover("my-nginx").sentence("pod-kill-1"))
killed.plot.timeline("my-nginx")

# %% [markdown]
# The kubelet relists its containers once per second (PLEG): on average it takes half a second to find a dead
# process. The refused requests failed at once: the pod's kernel still lives and says no.
#
# ## A process hangs
#
# The same, but the process stays and says nothing. Only the readiness probe can find out: every 10 s, three
# failures.
#
# **Guess:** between which two times will the outage be? How do the requests fail now?

# %%
hung = netsim.load(root / "experiments/pod-hang.yaml").run(replications=2)
hung.plot.failover("my-nginx")

# %%
print(hung.failover("my-nginx").sentence("pod-hang-1"))
hung.requests.groupby("outcome").latency_ns.agg(["count", "mean"])

# %% [markdown]
# Time-outs instead of refusals, and twenty-odd seconds. The last line of a budget is worth a look too: which of
# these settings is *yours*?

# %%
hung.failover("my-nginx").table.filter(regex="_ns$").iloc[:, :12].T / 1e9

# %% [markdown]
# ## One request that failed
#
# **Guess:** where did its packets end?

# %%
failed = killed.requests[killed.requests.outcome == "refused"].iloc[0]
print(killed.journey(request=int(failed.request)).text()[:3000])

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("pod-dies", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"outage": ..., "stage": ..., "errors": ...}
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
