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
# # One packet's journey
#
# A client asks a Service. Its packets pass hooks, rules and links, and some of them are rewritten on the way. This
# lab follows one of them from the first step to the last.
#
# On each node the Linux kernel has five hooks: PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING. kube-proxy's rules
# sit in the first and the last. You need `01-first-steps`.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %% [markdown]
# ## The cluster
#
# Two workers, two nginx pods, a Service `nginx-service` on port 5000 in front of their port 80, and `test-pod`.
#
# **Guess:** which of the arrows in this drawing stands for something that you could touch in a real cluster?

# %%
cluster = netsim.Cluster(root / "topologies/tutorial-nginx.yaml", seed=2)
cluster.plot()

# %% [markdown]
# The boxes are machines and pods, with a real cable or a pair of virtual ones each. The Service is none of them: it
# is a name and an address in the API, and rules on every node.
#
# ## All packets of one request
#
# **Guess:** how many packets does one small HTTP request need, and how many of them have nothing to do with HTTP?

# %%
explained = cluster.explain("pod/test-pod", "http://nginx-service:5000/")
print(explained.outcome)
explained.journey.plot("One request to nginx-service:5000")

# %% [markdown]
# Four packets for the name, three to open the connection, then question, answer and their acknowledgements, and the
# close.
#
# ## One packet, step by step
#
# **Guess:** at which hook is the destination rewritten, before or after the node looks for a route? Why must it be
# so?

# %%
opening = next(p for p in explained.journey.packets if "[S]" in p.summary)
print(explained.journey.filtered(lambda packet: packet.uid == opening.uid))

# %% [markdown]
# In PREROUTING, before the route: the route has to lead to the pod, not to the ClusterIP.
#
# Below is the connection as the node remembers it. The first address pair is what the client sent, the second what
# it expects as an answer. All later packets of the connection are rewritten from this entry. **No rule is asked
# again.**

# %%
node = next(step.namespace for step in opening.steps if step.kind == "dnat")
print(
    *[line for line in cluster.view("conntrack", f"node/{node}").splitlines() if "dport=5000" in line],
    sep="\n",
)

# %% [markdown]
# **Guess:** how many rules does the second packet of the connection visit in the `nat` table?

# %%
later = [
    p
    for p in explained.journey.packets
    if "> 10.96." in p.summary and "[S]" not in p.summary and p.summary.startswith("tcp")
]
for packet in (opening, *later):
    rules = [step for step in packet.steps if step.kind == "rule" and "nat:" in step.detail]
    print(f"{len(rules)} nat rules matched: {packet.summary}")

# %% [markdown]
# ## A packet of your own
#
# Any packet made with Scapy can be sent. It takes the same way as those of programs, and a capture sees it. The
# Service's address is asked for on a port that exists, with nothing but a SYN.
#
# **Guess:** what comes back, and from which address?

# %%
from pathlib import Path
from tempfile import gettempdir

from scapy.layers.inet import IP, TCP

service = opening.summary.split("> ")[1].split(":")[0]
capture = cluster.tcpdump("pod/test-pod")
number = cluster.send("pod/test-pod", IP(dst=service) / TCP(sport=40000, dport=5000, flags="S"))
cluster.run("100ms")
capture.stop()
cluster.write_pcapng(capture, Path(gettempdir()) / "mine.pcapng")

# %% [markdown]
# A SYN+ACK from the Service's address came back, and the kernel of the pod, which knows of no such connection,
# answered it with a reset. Open the file with Wireshark if you have it.
#
# ## A process of your own
#
# `cluster.env` is a genuine SimPy environment, in nanoseconds. Whatever SimPy can do may join in, as a client or a
# fault.
#
# **Guess:** three pings of a pod, one per second: how many packets are sent in all?

# %%
from scapy.layers.inet import ICMP

target = next(step.detail.split("> ")[1].split(":")[0] for step in opening.steps if step.kind == "dnat")


def pinger(env):
    for number in range(3):
        cluster.send("pod/test-pod", IP(dst=target) / ICMP(id=7, seq=number))
        yield env.timeout(1_000_000_000)


capture = cluster.tcpdump("pod/test-pod")
cluster.env.process(pinger(cluster.env))
cluster.run("4s")
capture.stop()
cluster.write_pcapng(capture, Path(gettempdir()) / "pings.pcapng")

# %% [markdown]
# Three requests and three answers. `experiment.begin()` gives a cluster in which an experiment's loads and faults
# are under way, so that your process can meddle with them.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("journey", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"packets": ..., "rewritten": ..., "answer_from": ...}
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
