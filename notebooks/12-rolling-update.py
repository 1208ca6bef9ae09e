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
# # A rolling update without loss
#
# A new image is rolled out, pod by pod. Old pods get SIGTERM, new ones need time to start. Whether clients notice
# depends on two questions: who is told that a pod is going, and when is a new one called ready? You need
# `10-pod-dies`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# Four variants of the same shop: `right` has a readiness probe and a preStop sleep, `no-sleep` lacks the sleep,
# `no-probe` the probe, `all-at-once` lets all old pods go first.
#
# **Guess:** put them in order of lost requests.

# %%
experiment = netsim.load(root / "experiments/rolling-update.yaml")
results = {
    name: experiment.variant(name).run(replications=1)
    for name in ("right", "no-sleep", "no-probe", "all-at-once")
}
for name, result in results.items():
    lost = (~result.requests.outcome.isin(["ok", "aborted"])).sum()
    print(f"{name:<14}{lost:>5} of {len(result.requests)} requests lost")

# %%
results["right"].plot.timeline("right")

# %%
results["no-probe"].plot.timeline("no-probe")

# %% [markdown]
# Why did each of them fail? The simulator knows what the rules said and what the pod was doing at that moment.

# %%
results["no-sleep"].causes

# %%
results["all-at-once"].plot.timeline("all-at-once")

# %% [markdown]
# Without the sleep, SIGTERM and the change of the rules race: for some milliseconds nodes send connections to a
# process that does not listen any more. Without the probe a pod is called ready when its process runs, three
# seconds before it listens.
#
# **Guess:** is a preStop sleep of 3 s enough on any cluster? What has to happen within it?

# %%
print(results["right"].failover("right").sentence("rollout-1"))

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("rolling-update", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"lost": ..., "kind": ...}
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
