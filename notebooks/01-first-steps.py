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
# # First steps: one request, a load split, an outage
#
# Three pods run nginx. In front of them stands a *Service*: one name and one address (the ClusterIP) for all three.
# No machine has that address. Every node rewrites a packet to it so that it goes to one of the pods, by rules that
# kube-proxy has written into the node's kernel.
#
# This notebook follows one request through these rules, looks at how evenly many requests are spread, and kills a pod.
# Before each run there is a question. Write your guess down first: a guess that turns out wrong teaches the most.
#
# Everything is computed here. There is no cluster and no network, and you will get the same numbers as everybody else.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# ## 1. One request
#
# `test-pod` asks `http://nginx-service:5000/`. The Service's port is 5000, the pods listen on 80.
#
# **Guess:** how many packets go over the network before nginx sees the first byte of the request?
# And how many address rewrites does one packet to the Service meet on its way?

# %%
cluster = netsim.Cluster(root / "topologies/tutorial-nginx.yaml", seed=1)
explained = cluster.explain("pod/test-pod", "http://nginx-service:5000/")
print(explained.outcome)
for number, packet in enumerate(explained.journey.packets, 1):
    print(f"{number:>3}. {packet.summary}")

# %% [markdown]
# The name comes first: two DNS questions (IPv4 and IPv6) and two answers. The name server has a ClusterIP as well. Then
# TCP opens the connection with three packets (`S`, `S.`, `.`), and only the next packet carries the request.
#
# Here is the first TCP packet in full. Find these steps:
# - the pod sends to the ClusterIP, since it knows nothing of the pods behind it;
# - on the node, three chains of the `nat` table lead to one pod: `KUBE-SERVICES`, `KUBE-SVC-...`, `KUBE-SEP-...`;
# - `dnat` puts the pod's address in, and connection tracking remembers it;
# - the route is looked up after the rewrite, so it is the route to the pod.

# %%
opening = next(p for p in explained.journey.packets if "[S]" in p.summary)
print(explained.journey.filtered(lambda packet: packet.uid == opening.uid))

# %% [markdown]
# The answers come back from the pod's address, and the client would not know what to do with them. The node that chose
# the pod puts the Service's address back (`snat` below). No rule says so: the connection's entry does.

# %%
answer = next(p for p in explained.journey.packets if "[S.]" in p.summary)
for step in answer.steps:
    if step.kind in ("snat", "dnat"):
        print(f"on {step.namespace}, at {step.where}: {step.kind} {step.detail}")

# %% [markdown]
# **Guess:** what does a client see that uses port 80 of the Service, which does not exist: a refusal, or nothing?
# And what does `ping` to the ClusterIP see?

# %%
print("port 80:", cluster.explain("pod/test-pod", "http://nginx-service/").outcome)
address = opening.first.flow.dst
print("ping:   ", cluster.explain("pod/test-pod", f"ping://{'.'.join(map(str, address))}").outcome)

# %% [markdown]
# Nothing, twice. The rules match an address *with a protocol and port*. A packet to any other port, or without a port,
# is not rewritten; it leaves the node for an address that nobody has. Nobody is there to refuse it.
#
# ## 2. How evenly is the load spread?
#
# The rules choose a pod at random for each new *connection*: with three pods, the first rule takes one third, the
# second one half of what is left, the third the rest.
#
# Two loads run for 20 seconds. One opens a new connection for each of 6,000 requests. The other keeps four connections
# open and sends all its requests over them.
#
# **Guess:** how far from 33.3% will each pod be in the first load? And in the second?

# %%
split_result = netsim.load(root / "experiments/load-split-short.yaml").run()
split_result.plot.split("my-nginx")

# %%
split_result.plot.split("my-nginx-pooled")

# %% [markdown]
# The hatched band says where the share lies in 95 of 100 runs when only chance decides. With 6,000 connections it is
# narrow. With four it is so wide that it allows nearly everything: four connections cannot be split evenly over three
# pods, and every request follows its connection. That is how keep-alive makes one pod hot.
#
# The words below are the result of a chi-square test: is the skew chance, or does it have a cause?

# %%
for service in split_result.services:
    print(f"{service}: {split_result.load_split(service).verdict}\n")

# %% [markdown]
# ## 3. A pod dies
#
# After 10 seconds the processes in one of three pods are killed. This happens five times, with other random numbers
# each time. The client goes on, 100 times per second.
#
# Until every node has new rules, a third of the new connections still goes to the dead pod. The chain of events is:
# kubelet notices (*detect*), writes it into the API (*write*), the EndpointSlice controller takes the pod out
# (*endpoints*), kube-proxy hears of it (*watch*), waits for its next turn (*wait*) and writes the rules (*sync*).
#
# **Guess:** how long does the outage last, and which of these stages takes longest? Will the requests fail quickly or
# hang?

# %%
kill_result = netsim.load(root / "experiments/pod-kill.yaml").run()
kill_result.plot.failover("my-nginx")

# %%
kill_result.plot.timeline("my-nginx")

# %%
print(kill_result.failover("my-nginx").sentence("pod-kill-1"))
kill_result.requests["outcome"].value_counts()

# %% [markdown]
# Most of the time passes until somebody notices. The kubelet asks the container runtime once per second, so it takes
# about half a second on average to find a dead process, and then some more. The rest is milliseconds.
#
# The requests are refused at once: the pod's address is still there, only nobody listens. Compare
# `experiments/pod-hang.yaml`, where the process is alive but silent, and `experiments/node-crash.yaml`.
#
# **To try:** load `experiments/pod-hang.yaml` instead. Before you run it, read the pods' readiness probe in
# `topologies/failover.yaml` and say between which two times a silent pod must be detected.
