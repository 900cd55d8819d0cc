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
# # Figure 4: what more looks and more networks buy
#
# A trained classifier has two cheap ways to err less without learning anything: look at a picture several times, each time at
# another part of it, and ask several networks. Section 4.2.3 of the paper does both. Six networks, each BN-x30 with "some of"
# three changes (larger initial weights in the convolutions, 5 or 10 % dropout, per-activation BN in the last hidden layers), are
# shown 144 crops of every image, and the arithmetic mean of all 864 vectors of class probabilities is the answer. Figure 4 is the
# table of what that gives on ImageNet.
#
# The paper does not say which network has which changes. Ours: two values of the initial weights, three of dropout and two of
# BN in module 5b, spread so that each value is in as many networks as any other. At the scale `laptop` x30 is too much, so the
# six have the rate and the initial beta that suit a network with BN best (0.03 and 1, by the ladder of rates).
#
# This notebook reads what `scripts/evaluate.py` committed about our six networks, and their records. Set `source` and `scale`
# to see your own.

# %% tags=["parameters"]
source = "results"  # what is committed; or your own runs: a folder, "runs", or W&B, "wandb:ENTITY/bnrepro"
scale = "laptop"

# %%
# %config InlineBackend.figure_formats = ["png"]
# %matplotlib inline
import pandas as pd
from IPython.display import Markdown, display
from matplotlib.figure import Figure

from bnrepro.analysis.figures import figure4_plot, figure4_table
from bnrepro.analysis.figures.figure4 import CLAIMED_CROPS, by_size
from bnrepro.analysis.figures.figure4_plot import COLOURS
from bnrepro.analysis.figures.registry import FIGURES
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.render.table import Table
from bnrepro.cli.notebooks import at_root

at_root()
evaluation, networks = FIGURES["figure4"].contents(source, scale)
data = dataset.title(networks[0])


def show(table: Table) -> None:
    """A table without its title and prose."""
    display(Markdown(table.grid() + "\n"))


Markdown(f"{data}; {evaluation.images:,} validation images. Evaluated by `{evaluation.info['command']}`.")

# %% [markdown]
# ## Figure 4
#
# The paper's numbers and ours are of different experiments: other images, other networks, other lengths of training. What can
# be set side by side are the steps from one row to the next: from one crop to 144, and from one network to six.

# %%
show(figure4_table.figure_table(evaluation, data))

# %% [markdown]
# Behind a single step there is a distribution. The intervals below are bootstrap intervals over images: what other images of
# the same kind would have said of these very networks. The rules were written before the networks were trained.

# %%
show(figure4_table.claims_table(evaluation))

# %% [markdown]
# ## The six networks
#
# Are six *different* networks needed, or would six seeds do? This table cannot tell, since each network has both a seed and
# changes of its own; it shows how alike they are.

# %%
show(figure4_table.networks_table(evaluation, networks))

# %% [markdown]
# ## More networks, more crops
#
# With six networks there are 63 choices of one or more. Each point is the mean over the choices of that size, the bar their
# range. There is only one choice of six, so the last point has no bar. This does not mean that its error is known exactly.

# %%
display(figure4_plot.draw(evaluation, f"{data}; {evaluation.images:,} validation images"))

# %% [markdown]
# The first companions help most. If the networks' errors were independent, the gain would go on; it levels off as far as they
# fail on the same images. How many images does each number of networks get right?

# %%
figure = Figure(figsize=(7, 2.6), layout="constrained")
axes = figure.subplots()
for crops in evaluation.info["crops"]:
    right = evaluation.count - evaluation.each_wrong(crops).sum(0)
    shares = pd.Series(right).value_counts(normalize=True).sort_index()
    axes.plot(shares.index, 100 * shares, "o-", ms=3, color=COLOURS[crops], label=f"{crops} crops")
axes.set(xlabel="networks that are right about an image", ylabel="images, %", ylim=(0, None))
axes.legend(fontsize=8)
display(figure)

# %% [markdown]
# ## How to combine
#
# The paper takes the mean of probabilities, as GoogLeNet did, which found it best. Two others: the mean of logits, a geometric
# mean of probabilities in which a network that is sure of a *no* weighs more; and the majority vote, which forgets how sure each network
# was.

# %%
show(figure4_table.methods_table(evaluation))

# %%
figure = Figure(figsize=(7, 2.6), layout="constrained")
axes = figure.subplots()
for method, line in (("mean", "-"), ("logits", "--"), ("vote", ":")):
    sizes = 100 * by_size(evaluation, CLAIMED_CROPS, method)["mean"]
    axes.plot(sizes.index, sizes, line, color=COLOURS[CLAIMED_CROPS], label=method)
axes.set(xlabel="networks", ylabel="top-1 error, %", title=f"{CLAIMED_CROPS} crops, mean over all choices")
axes.legend(fontsize=8)
display(figure)

# %% [markdown]
# ## Can its confidence be believed?
#
# A calibrated network that says 30 % is right 30 times in 100. Averaging pulls probabilities towards the middle: crops and
# networks that disagree make the mean less sure of itself. Whether that helps depends on where one starts: it mends
# networks that are too sure, and spoils those that were not sure enough.

# %%
show(figure4_table.calibration_table(evaluation))

# %% [markdown]
# ## What is seen
#
# - **Both steps of the paper are there** (C45). For one network 144 crops take 3.8 points off the top-1 error. Five more networks
#   take off another 1.6. In the paper crops bring more than networks, too.
# - **The mean of six is not established to beat the best of them** (C46): the difference is 0.04 points, and its interval is
#   about a point to either side. The best network is the best on these very images, which flatters it.
# - With six networks the crops still help: 53.8 % errors with one crop, and 52.6 % with 144.
# - **No way of combining is better than another**: all intervals of the differences have 0 in them.
# - **Averaging makes these networks less calibrated.** With one crop the expected calibration error of one network is 2.7 %; with
#   144 crops and six networks it is 14.9 %. The mean of looks that disagree is less sure of itself.
