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
# # Services outside the cluster
#
# A Service without a selector has no pods, and nobody writes its endpoints. You may write them yourself, and they
# may lie outside the cluster. That is how a database moves without its clients' knowing. You need `05-split`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
experiment = netsim.load(root / "experiments/outside-mysql.yaml")
cluster = experiment.cluster()
cluster.settle()
cluster.plot()

# %% [markdown]
# `mysql` has two hand-written endpoints, 192.168.26.81 and .82, on port 3306.
#
# **Guess:** what does a look-up of `mysql` give: one of these addresses, or another one?

# %%
print(cluster.exec("app", "nslookup mysql"))
print(cluster.exec("app", "nc -vz mysql 3306"))

# %% [markdown]
# A ClusterIP, as for any Service: clients do not see the difference.
#
# **Guess:** how are connections spread over the two servers, and how with session affinity?

# %%
result = experiment.run()
result.plot.split("mysql")

# %%
result.plot.split("mysql-pinned")

# %% [markdown]
# ## By name instead of by address
#
# `type: ExternalName` is another way out: no address and no rule, only a CNAME in the cluster's DNS.
#
# **Guess:** who has to know the port then, and what does the HTTP server see in the Host header?

# %%
outside = netsim.Cluster(root / "topologies/dns-outside.yaml", seed=1)
print(outside.exec("cluster-first", "nslookup shop"))
print(outside.exec("cluster-first", "dig shop.default.svc.cluster.local +noall +answer").stdout)

# %% [markdown]
# The client itself talks to the address outside. The name in its URL is still `shop`, and a server that looks at
# the Host header, or at a certificate, will not know it.
#
# One more difference: what happens to the CNAME when the server outside dies? Nothing. Nobody probes it, as nobody
# probes hand-written endpoints. The cluster sends connections there until you change the list.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("outside", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"share": ..., "name_gives": ...}
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
