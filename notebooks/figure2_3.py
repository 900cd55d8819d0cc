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
# # Figures 2 and 3: how much sooner, and how much of it is batch normalisation?
#
# Section 4.2 of the paper trains one network, Inception, in seven ways on ImageNet. It asks two things of each: after how
# many steps is it as accurate as the baseline ever gets, and how accurate does it get at most? Figure 2 draws validation
# accuracy against steps. Figure 3 is the table.
#
# | row of Figure 3 | what differs from the row above |
# |---|---|
# | Inception | the baseline: dropout, LRN |
# | BN-Baseline | BN before every nonlinearity, and nothing else |
# | BN-x5 | five times the rate, and six other changes of Sec. 4.2.1: no dropout, a fifth of the L2, a decay six times as fast, no LRN, better shuffling, weaker distortions |
# | BN-x30 | thirty times Inception's rate |
# | BN-x5-Sigmoid | BN-x5 with sigmoids in place of ReLUs |
#
# Two more cannot be trained in the paper: Inception at five times its rate, and Inception with sigmoids.
#
# Ours is the same network with a quarter of the width, on small images of 50 classes, for 30,000 steps where the paper takes 31
# million. Its base rate is the one that suits Inception best in so short a run. The order of the networks and the ratios of
# steps can be compared with the paper's; the accuracies cannot. The rules are in
# [docs/figure2-rules.md](../docs/figure2-rules.md) and are older than the runs.
#
# This notebook reads the records of our runs and nothing else. Set `source` and `scale` to see your own.

# %% tags=["parameters"]
source = "results"  # what is committed; or your own runs: a folder, "runs", or W&B, "wandb:ENTITY/bnrepro"
scale = "laptop"

# %%
# %config InlineBackend.figure_formats = ["png"]
# %matplotlib inline
import pandas as pd
from IPython.display import Markdown, display

from bnrepro.analysis.figures import figure2, figure2_plot, figure2_table, ladder, layers_plot, shattered
from bnrepro.analysis.figures.figure2_claims import claims_table
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading.drift import unit_drift
from bnrepro.cli.notebooks import at_root

at_root()
arms = FIGURES["figure2"].arms(source, scale)
tables = figure2_table.tables(arms)


def show(*titles: str) -> None:
    """The tables of these titles; what has not been trained yet is named."""
    for title in titles:
        display(Markdown(str(tables[title]) if title in tables else f"*{title}: not trained yet.*"))


pd.DataFrame(
    {"seeds": map(len, arms.values()), "steps": [runs[0].status["steps"] for runs in arms.values()]},
    index=map(figure2.full_title, arms),
)

# %% [markdown]
# ## How soon and how far does each network get?
#
# Lines are means over seeds, bands the whole range. A ring marks where the median seed reaches the target, the dotted line: 95 %
# of Inception's mean final accuracy. In (a) and (b) every network trains for all of T. The dashed lines in (a) are
# controls that the paper does not have: the network of the same colour with all other changes and without BN. Networks of which
# no seed can be trained have no curve and are named in the corner. In (b) every
# beta starts at 1 instead of 0; the paper does not say where it starts. In (c), the paper's reading, BN-x* decay their rate six
# times as fast and stop at T/4.

# %%
display(figure2_plot.draw(arms))

# %% [markdown]
# The paper's printed numbers stand to the left of ours. *Times fewer* is Inception's steps to the target over the network's
# own, seed by seed: a seed fixes initial draws, data order and distortions in every network.

# %%
show("Equal budget")

# %% [markdown]
# ## Does it matter where beta starts?
#
# BN gives every nonlinearity an input of mean beta. With beta at 0 a ReLU bends exactly in the middle of its inputs, in
# some thirty layers on top of each other.

# %%
show("Equal budget, beta starts at 1")

# %% [markdown]
# ## How much of it is BN?
#
# BN-x5 is often quoted as "BN makes training 14 times faster". But from Inception to BN-x5 seven things change besides BN.
# In the paper BN alone, BN-Baseline, accounts for a factor of 2.3.

# %%
show("What BN brings, taken apart", "All changes but BN")

# %% [markdown]
# ## What holds BN back under ReLUs?
#
# The sigmoids of BN-x5-Sigmoid ought to be a handicap, and in so short a run they are an advantage. Four instruments looked
# inside BN-x5 at `mini`, where a run takes a minute. (b) At the first step the gradient of a layer, measured by the layer's
# own weights, grows some twenty times on its way down from the last layer to the first. (c) The gradient of a layer changes
# its direction completely once the layers before it have taken their own step. Neither happens to ReLUs without BN, nor to
# sigmoids with BN.
#
# Balduzzi et al. 2017 call such gradients shattered and find them in deep ReLU networks without shortcuts. Yang et al. 2019
# prove that BN makes gradients grow exponentially with depth, and less so the nearer a network is to a linear one. That is
# what can be done about it here: with beta at 1 most inputs of a ReLU are on its straight side, and a leaky ReLU of slope 0.5
# hardly bends. Both leave BN as it is. The gradients then grow about three times, their cosine is above 0.8, and the accuracy
# after 700 steps rises from 18 to 33 %. Leaky units without BN are no help at this rate: one seed of three diverges.

# %%
inside = shattered.arms(source)
if inside:
    display(shattered.draw(inside))
    display(Markdown(str(shattered.page(inside).tables[0])))

# %% [markdown]
# ## How fast can each network learn?
#
# The ladder of rates: (a) final accuracy, and (b) steps to 95 % of the best accuracy without BN, at each learning rate, measured
# on training images held out of training. The bars at the top of (a) are the rates within a tenth of a network's own best.
# A hollow marker at the top of (b) is a rate at which the median seed never gets there.

# %%
rungs = [*ladder.of_results(source, "figure2_tuning", scale), *ladder.of_results(source, "figure1_tuning", "paper")]
for network in rungs:
    display(ladder.draw(network))
    table = ladder.table(network)
    display(Markdown(f"**{network.title}**\n\n{table.prose}\n\n{table.grid()}\n"))

# %% [markdown]
# ## What does the paper's schedule give in so short a run?

# %%
show("The paper's reading")

# %% [markdown]
# ## What cannot be trained?

# %%
show("What the paper says cannot be trained")

# %% [markdown]
# ## And another network?

# %%
show("GoogLeNet")

# %% [markdown]
# ## The claims
#
# What each claim's rule asks for, and what was measured. The verdicts are in the [ledger](../results/claims.md), where the
# p-values of all figures are adjusted together.

# %%
display(Markdown(str(claims_table(arms))))

# %% [markdown]
# ## Looking inside
#
# Figure 1(b, c) once more, now for layers of Inception: the 15th, 50th and 85th percentile of the input of a nonlinearity
# while the network trains, in training mode on the same images each time. Grey is all channels of the layer together, in
# colour is one channel, the one in the middle of the layer and not chosen by eye. BN holds the mean and the variance of what
# comes *after* it by construction; what the layers below really send up is W u, *before* it. Mind the axes: each panel has
# its own.

# %%
plain, bn = (arms[name][0] for name in figure2.REQUIRED)
display(layers_plot.draw(plain, bn))

# %% [markdown]
# In numbers, *drift*: the path length of a channel's median from step 1,000 on, divided by the channel's mean 15-85 width;
# means over the recorded channels of each layer and over seeds.

# %%
views = {
    "without BN": ("inception", "percentiles"),
    "with BN, W u before it": ("bn_baseline", "percentiles_before"),
    "with BN, after it": ("bn_baseline", "percentiles"),
}


def drift(name: str, view: str, layer: str) -> float:
    """Mean drift of the recorded channels of a layer, over channels and seeds."""
    drifts = []
    for record in arms[name]:
        probes = record.probes
        inside = probes["layers"] == probes["layer_names"].tolist().index(layer)
        drifts.append(unit_drift(probes, view)[inside & (probes["units"] != layers_plot.POOLED)].mean())
    return sum(drifts) / len(drifts)


pd.DataFrame(
    {
        title: {short: drift(name, view, layer) for short, layer in layers_plot.LAYERS.items()}
        for title, (name, view) in views.items()
    }
).round(2)
