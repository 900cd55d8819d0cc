# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Quickstart: train two small networks, load them, plot them
#
# This trains the MNIST network of Figure 1 without and with batch normalisation for 600 steps each, which takes about ten
# seconds. A run that is there already is not trained again.

# %%
# %config InlineBackend.figure_formats = ["png"]
# %matplotlib inline
import subprocess
import sys

import matplotlib.pyplot as plt
import pandas as pd

import bnrepro
from bnrepro.cli.notebooks import at_root

at_root()
command = "scripts/train.py -m experiment=figure1/plain,figure1/bn scale=smoke seed=0 logger.mode=disabled"
trained = subprocess.run([sys.executable, *command.split()], check=True, capture_output=True)

# %% [markdown]
# The name of a run ends with a hash of its configuration, so it is the same on every machine. A run has its
# configuration, its numbers, and what was measured inside the network.

# %%
runs = {"without BN": bnrepro.load_run("plain-s0-ac47d853"), "with BN": bnrepro.load_run("bn-s0-2cd56fcf")}
accuracy = pd.DataFrame({name: 100 * run.metrics["val/top1"] for name, run in runs.items()})
panel = accuracy.plot(xlabel="training steps", ylabel="test accuracy, %", title="Figure 1(a), the first 600 steps")

# %% [markdown]
# Figures 1(b) and (c) follow the input of one sigmoid of the last hidden layer: its 15th, 50th and 85th percentiles
# over a fixed set of images.

# %%
_, panels = plt.subplots(1, 2, sharey=True, figsize=(9, 3))
for panel, (name, run) in zip(panels, runs.items(), strict=True):
    unit = pd.DataFrame(run.probes["percentiles"][:, -1], run.probes["steps"], ["15 %", "50 %", "85 %"])
    unit.plot(ax=panel, xlabel="training steps", title=f"input of the last unit, {name}")

# %% [markdown]
# The trained network itself is `run.model()`. It maps pictures of digits, with values from -1 (black) to 1 (white), to
# ten logits:

# %%
runs["with BN"].model()

# %% [markdown]
# From here: change any key on the command line (`python scripts/train.py --help` lists them), read
# [Figure 1's notebook](figure1.ipynb), or train Figure 2 as the README says.
