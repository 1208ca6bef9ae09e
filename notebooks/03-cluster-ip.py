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
# # The ClusterIP is nowhere
#
# No interface has the ClusterIP. There are only rules that match *this address, this protocol, this port*. Whatever
# does not match goes on as if Kubernetes were not there. You need `02-journey`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
cluster = netsim.Cluster(root / "topologies/tutorial-nginx.yaml", seed=1)
print(cluster.exec("test-pod", "nslookup nginx-service"))

# %% [markdown]
# **Guess:** which nodes have a route to this address, or an interface with it?

# %%
for node in ("control-plane", "worker-1", "worker-2"):
    print(node, *cluster.view("routes", f"node/{node}").splitlines(), sep="\n    ")

# %% [markdown]
# None. It would leave by the default route. Here are the rules instead, the same ones on every node.
#
# **Guess:** how many rules are there for one Service with two pods? Which of them throws the dice?

# %%
rules = cluster.view("iptables", "node/worker-1").splitlines()
print(*[rule for rule in rules if "nginx-service" in rule], sep="\n")

# %% [markdown]
# The probability 0.5 is written on the first of two. The last one takes what is left.
#
# **Guess:** three questions to the same address. Which is answered, refused, or met by silence?

# %%
for url in ("http://nginx-service:5000/", "http://nginx-service/", "ping://nginx-service"):
    print(f"{url:<30}{cluster.explain('pod/test-pod', url).outcome}")

# %% [markdown]
# Silence is no answer of anybody: the packet left the node for an address that nobody has. Follow it to its end.

# %%
lost = cluster.explain("pod/test-pod", "http://nginx-service/")
lost.journey.filtered(lambda packet: packet.summary.startswith("tcp")).plot("Port 80: nobody there to refuse")

# %% [markdown]
# ## Over time
#
# The same from an experiment: ten requests to the wrong port among many to the right one.
#
# **Guess:** how long does each of the wrong ones take, if the client gives up after 3 s? Would it help to wait
# longer?

# %%
result = netsim.load(root / "experiments/wrong-port.yaml").run()
result.requests.groupby(["load", "outcome"]).latency_ns.agg(["count", "max"])

# %%
result.plot.timeline()

# %% [markdown]
# Requests of the load `wrong` take all of the 3 s, those of `right` a few milliseconds. A client without a time-out
# would send SYN after SYN for more than two minutes.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("cluster-ip", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"ping": ..., "wrong_port": ..., "no_endpoints": ..., "chains": ...}
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
