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
# # Environment variables and their order
#
# Before there was cluster DNS, a container learned of Services by environment variables. They are still there. They
# are made when the container starts, from the Services that are there *then*.

# %%
import netsim

root = netsim.data_root()  # where topologies/ and experiments/ are

# %%
lab0 = netsim.Lab("environment", student="an-example")
for name, text in lab0.files.items():
    print(f"--- {name}\n{text}")

# %% [markdown]
# **Guess:** how many variables will the pod `reader` have for the Service in `manifests.yaml`? Two would be enough:
# a host and a port.

# %%
cluster = lab0.cluster()
print(cluster.exec("reader", "env"))

# %% [markdown]
# Seven for each Service: two in Kubernetes' own style and five as Docker's links had them. The Service `kubernetes`
# is always among them.
#
# Now `later.yaml` is applied, while the pod runs.
#
# **Guess:** how long until `reader` has its variables? And until it can look the name up?

# %%
late = str(lab0.values["late"])
lab0.apply(cluster, "later.yaml")
variables = cluster.exec("reader", "env").stdout
print("variables:", variables.upper().count(f"\n{late.upper()}_"))
print(cluster.exec("reader", f"nslookup {late}"))

# %% [markdown]
# The variables never come: a process's environment is its own. The name is there at once. That is why the tutorial
# deletes its pods after making the Service: their successors know it.
#
# ## What a client sees
#
# `cluster.plot()` draws what there is now.
#
# **Guess:** what does `curl http://$CART_SERVICE_HOST/` do when the variable is not set?

# %%
cluster.plot()

# %%
print(cluster.exec("reader", "curl http://$NO_SUCH_SERVICE_HOST/"))

# %% [markdown]
# The shell puts nothing in its place, and curl is left without a host: an error that says nothing of Kubernetes.

# %% [markdown]
# ## Your turn
#
# These exercises have numbers of your own, drawn from your id. Nobody else has them. Predict first, then run, then
# look. `lab.experiment()`, where there is one, and `lab.cluster()` are yours to play with.

# %%
lab = netsim.Lab("environment", student="your-id")
lab

# %% [markdown]
# Put a number or a word in place of each `...`. The check runs your instance and gives points and hints.

# %%
answers = {"early": ..., "late": ..., "port": ...}
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
