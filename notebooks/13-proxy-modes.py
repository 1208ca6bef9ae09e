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
# # iptables, nftables and IPVS compared
#
# kube-proxy can write its rules in three languages. They choose differently, they cost differently when there are
# many Services, and they differ in what a ClusterIP is. You need `03-cluster-ip` and `05-split`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# **Guess:** in which mode does a pod on a list of 1,000 Services pay most for the first packet of a connection? In
# which does the length of the list not matter?

# %%
experiment = netsim.load(root / "experiments/proxy-modes.yaml")
names = [f"{mode}-{size}" for size in (10, 1000) for mode in ("iptables", "nftables", "ipvs")]
results = {name: experiment.variant(name).run() for name in names}
for name, result in results.items():
    good = result.requests[result.requests.outcome == "ok"]
    milliseconds = good.latency_ns / 1e6
    print(f"{name:<15} median {milliseconds.median():6.3f} ms   p99 {milliseconds.quantile(0.99):6.3f} ms")

# %% [markdown]
# The rules of iptables are a list: the packet visits the Services one after the other. nftables looks the address
# up in a map, IPVS in a hash table.
#
# **Guess:** which of them spreads most evenly?

# %%
for mode in ("iptables", "nftables", "ipvs"):
    print(f"{mode:<9} {results[f'{mode}-10'].load_split('my-nginx').verdict}\n")

# %%
results["iptables-10"].plot.split("my-nginx")

# %%
results["ipvs-10"].plot.split("my-nginx")

# %% [markdown]
# ## The same Service in three languages
#
# How long will each of these listings be?

# %%
lab0 = netsim.Lab("proxy-modes", student="an-example")
name = lab0.values["name"]
for file, view in (("topology.yaml", "iptables"), ("nftables.yaml", "nftables"), ("ipvs.yaml", "ipvs")):
    cluster = lab0.cluster(file)
    lines = cluster.view(view, "node/worker-1").splitlines()
    print(
        f"{view}: {len(lines)} lines; a ping of the ClusterIP: {cluster.explain('client', f'ping://{name}').outcome}"
    )
    print(*[line for line in lines if f"default/{name}" in line or view == "ipvs"][:14], sep="\n", end="\n\n")

# %% [markdown]
# In iptables mode nobody has the address: silence. In nftables mode kube-proxy refuses what is for a ClusterIP and
# none of its ports. In ipvs mode the address is on an interface of every node (`kube-ipvs0`), and whether a ping is
# answered depends on the version.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("proxy-modes", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {
    "ping_iptables": ...,
    "ping_ipvs": ...,
    "ping_nftables": ...,
    "busiest": ...,
    "turns": ...,
    "servers": ...,
}
lab.check(answers)
