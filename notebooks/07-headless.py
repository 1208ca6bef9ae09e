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
# # Headless Services and StatefulSets
#
# `clusterIP: None` makes a Service headless: no virtual address, no rules. The name server gives the pods' own
# addresses, and with a StatefulSet every pod has a name that stays.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
cluster = netsim.Cluster(root / "topologies/kafka.yaml", seed=1)
cluster.settle()
cluster.plot()

# %% [markdown]
# **Guess:** how many addresses does `kafka-headless` have? What does kube-proxy do for it?

# %%
pod = "kafka/kafka-0"
print(cluster.exec(pod, "nslookup kafka-headless"))
print("rules that name it:", cluster.view("iptables", "node/worker-1").count("kafka-headless"))

# %% [markdown]
# One address per pod and no rule at all.
#
# **Guess:** what is the name of a single pod, and does SRV tell you?

# %%
print(cluster.exec(pod, "dig SRV kafka-headless.kafka.svc.cluster.local +noall +answer +additional").stdout)

# %% [markdown]
# SRV gives port and name, and the names stay when the addresses change. Ask one pod from another.

# %%
print(cluster.explain(f"pod/{pod}", "ping://kafka-1.kafka-headless").outcome)

# %% [markdown]
# ## A pod is replaced
#
# kafka-1 is deleted. Step through time and watch its name.
#
# **Guess:** does the name keep its address? Is there a moment without any?

# %%
before = cluster.exec(pod, "dig +short kafka-1.kafka-headless.kafka.svc.cluster.local").stdout.strip()
cluster.api.delete("Pod", "kafka", "kafka-1")
for _ in range(8):
    cluster.run("2s")
    answer = cluster.exec(pod, "dig +short kafka-1.kafka-headless.kafka.svc.cluster.local").stdout.strip()
    print(f"{cluster.now_ns / 1e9:6.1f} s  {answer or 'no address'}")
print("before:", before)

# %% [markdown]
# A StatefulSet makes the new pod when the old one is gone, with the same name and a new address. In between the
# name has none. The name server knows the new address at once, but a client that has looked the name up before and
# keeps the answer goes on calling an address that nobody has: see `15-round-robin`.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("headless", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"addresses": ..., "pod_name": ...}
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
