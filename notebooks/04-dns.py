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
# # Names, search lists and ndots
#
# A pod's `/etc/resolv.conf` has a search list and `ndots:5`. A name with fewer than five dots is first tried with
# each entry of the list behind it. That is what makes `my-nginx` work, and what makes `www.example.com` expensive.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
cluster = netsim.Cluster(root / "topologies/dns.yaml", seed=1)
print(cluster.exec("plain", "cat /etc/resolv.conf"))

# %% [markdown]
# **Guess:** which names does the resolver ask for, in which order, when a program in this pod wants
# `www.example.com`?

# %%
explained = cluster.explain("pod/plain", "dns://www.example.com")
print(explained.outcome)
for packet in explained.journey.packets:
    print(packet.summary)

# %% [markdown]
# Three names for nothing, then the right one, and each of them for IPv4 (A) and IPv6 (AAAA): eight queries.
#
# ## The price, side by side
#
# **Guess:** put these in order of their queries: `www.example.com`, the same with a final dot, the same under
# `ndots:1`, the short name `my-nginx` under `ndots:1`.

# %%
result = netsim.load(root / "experiments/ndots.yaml").run()
result.plot.lookups()

# %% [markdown]
# With a final dot nothing is searched. With `ndots:1` the name is tried as it is first, and names inside still
# work: the search list comes afterwards.
#
# ## Autopath: the server walks the list
#
# CoreDNS can do the walking itself. It has to know the pod's namespace, so it has to watch all pods.
#
# **Guess:** how many queries does `www.example.com` need then? And a name that does not exist?

# %%
auto = netsim.load(root / "experiments/ndots-autopath.yaml").run()
auto.plot.lookups()

# %% [markdown]
# Two queries for the name that exists. For one that does not, the server would have to say "no" to the first name
# of the list although a later one might exist elsewhere, so the client goes through all of them.
#
# ## Who answers?
#
# **Guess:** how often does the query for `www.example.com.` leave the cluster when it is asked three times in a
# row?

# %%
for _ in range(3):
    print(cluster.exec("plain", "dig www.example.com. +noall +answer +stats").stdout)
    cluster.run("4s")

# %% [markdown]
# Look at the query time and the TTL. The first answer came from outside, the others from CoreDNS's cache, which
# counts the TTL down.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("dns", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"outside": ..., "dotted": ..., "short": ..., "long": ...}
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
