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
# # Ten questions about batch normalisation, answered from inside the network
#
# The paper reports that batch normalisation (BN) works, and it explains why. It measures few of its explanations. This repository
# gives each of them a rule, in most cases before the runs, and the ledger (`results/claims.md`) has the verdicts. This notebook takes
# ten questions from the ledger. Each question has a picture and an answer.
#
# The networks are small. The *network of Fig. 1* has three layers of 100 sigmoids, and learns binary MNIST digits for 5,000 steps. The
# *deep networks* have two to eight such layers, of sigmoids or ReLUs, and train for 2,000 steps. *Inception* is the network of
# Figs. 2 and 3 at a quarter of its width. It learns 20 classes of Tiny-ImageNet at 32 px for 700 steps, with the settings of BN-x5.
# Two networks with the same seed start from the same draws, and see the same images in the same order.
#
# Lines are means over seeds, and bands are the whole range of the seeds. A claim *holds* or *fails* if a 95 % interval over seeds
# lies on one side of the edge that the rule names, after a correction for the number of tests. Otherwise it is *inconclusive*. It is
# *contested* if two readings of it contradict each other, or if the literature contradicts it. The verdicts are computed
# when the notebook runs. Set `source` and `scale` to see your own runs.

# %% tags=["parameters"]
source = "results"  # what is committed; or your own runs: a folder, "runs", or W&B, "wandb:ENTITY/bnrepro"
scale = "mini"

# %%
# %config InlineBackend.figure_formats = ["png"]
# %matplotlib inline
import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from bnrepro.analysis.claims.notebook import BN, NONE, Reader, accuracy, by, effects, layer_lines, panel, panels
from bnrepro.analysis.claims.series import FIRST, LAST, by_layer
from bnrepro.analysis.reading.dataset import chance
from bnrepro.analysis.render.style import POOLED, WITH, WITHOUT, X30
from bnrepro.cli.notebooks import at_root

at_root()
ledger = Reader(source, scale)
arm, pair, gain = ledger.arm, ledger.pair, ledger.gain
RELU = {"model.nonlinearity": "relu"}
RATE, STD, GAIN, TIMES = "optimizer.base_lr", "init.std", "init.gain", "optimizer.lr_multiplier"

# %% [markdown]
# ## 1 Do sigmoids saturate, and does BN prevent it?
#
# The paper (Sec. 2) says that training moves the inputs of sigmoids to where the function is flat and no gradient passes, and that
# this is worse in deeper networks. With BN fewer inputs should be there. An input counts as saturated if the derivative of
# the sigmoid is below 0.05, a fifth of its maximum.

# %%
bn, plain = pair("inside", {})
figure, ((left, middle, right),) = panels(1, 3)
for axes, network in ((left, plain), (middle, bn)):
    panel(axes, network.label, layer_lines(network, "saturation/share"), "log steps", ylim=(0, 1.02))
left.set_ylabel("saturated share of inputs")
deep = by("model.hidden", pair("depth", {}, varied="model.hidden"))
panel(right, "trainable?", deep, xlabel="hidden layers of sigmoids", ylabel="final accuracy", ylim=(0, 1))
display(figure)
Markdown(ledger.verdicts("C04", "C27"))

# %% [markdown]
# **Answer.** Training saturates the sigmoids, and BN limits this. But saturation does not stop learning: the network without BN learns
# well while half of its sigmoids' inputs are saturated. The last layer saturates first and then recovers, as Glorot and Bengio
# (2010) saw, so that in the end the layers are not in the order that the rule asks for. The deep network without BN does not fail by
# saturation either. Question 6 shows how it fails.

# %% [markdown]
# ## 2 What happens if the gradient ignores the normalisation?
#
# The paper (Sec. 2) warns of a gradient that takes the mean and the variance for constants. It pushes a parameter for ever, because
# normalisation undoes each change and the loss stays the same. The toy is the paper's example: it learns one bias or one scale. Two
# real networks are trained with BN, and with BN whose statistics are constants to the gradient.

# %%
STOP = {"norm.name": "bn_stop_gradient"}
control, inception = (
    [arm("BN", WITH, experiment, {}), arm("BN, a constant to the gradient", WITHOUT, experiment, STOP)]
    for experiment in ("control", "x5")
)
figure, ((toy, norms), (small, large)) = panels(2, 2, width=8)
steps = (250, 500, 750, 1000)
for name, claim, start, line in (("bias", "C06", 0, "--"), ("scale", "C07", 1, "-")):
    values = [start, *(ledger.exact[claim][f"{name}_at_{step}"] for step in steps)]
    toy.plot((0, *steps), values, f"o{line}", ms=3, color=WITHOUT, label=f"{name}, its statistic a constant")
    toy.plot((0, *steps), [start] * 5, line, color=WITH, label=f"{name}, its statistic in the gradient")
toy.set(title="toy", xlabel="steps", ylabel="learnt value", yscale="symlog", ylim=(-0.05, 1e5))
toy.legend(fontsize=7, loc="upper right")
layers = [line for network in control for line in layer_lines(network, "weights/norm")]
panel(norms, "network of Fig. 1: norm of each layer's weights", layers, "steps", log_y=True, legend="")
accuracy(small, "network of Fig. 1", control)
accuracy(large, "Inception", inception)
display(figure)
Markdown(ledger.verdicts("C06", "C07"))

# %% [markdown]
# **Answer.** In the toy the bias grows in proportion to the steps. The scale grows as their square root, because its gradient shrinks
# as it grows. In a network the gradient need not keep its direction, so it depends on the network, the rate and the time whether the
# weights run away. Accuracy suffers in any case, because the gradient points where the normalised network cannot go.

# %% [markdown]
# ## 3 What are gamma and beta for?
#
# The paper (Sec. 3) says that a sigmoid is nearly straight where its normalised inputs lie. Each unit therefore has a scale gamma and
# a shift beta, with which it can leave this range. In the picture, each line below the sigmoid is one unit of the last hidden layer
# after training, from the 15th to the 85th percentile of its inputs. The grey range is within 2 of zero.

# %%
bare = arm("BN without gamma, beta", WITHOUT, "inside", BN | {"norm.affine": False})
figure, (both,) = panels(1, 2, width=8)
x = np.linspace(-8, 8, 161)
for axes, network in zip(both, (bare, bn), strict=True):
    axes.axvspan(-2, 2, color="black", alpha=0.06, lw=0)
    axes.plot(x, 1 / (1 + np.exp(-x)), color="black", lw=0.8)
    axes.set(title=network.label, xlim=(-8, 8), ylim=(-1.3, 1.1), yticks=[0, 1], xlabel="input of the sigmoid")
    for record in network.records[:1]:
        last_layer = record.probes["layers"] == record.probes["layers"].max()
        low, _, high = record.probes["percentiles"][-1, last_layer].astype(float).T
        by_width = np.argsort(high - low)
        axes.hlines(np.linspace(-1.25, -0.1, len(low)), low[by_width], high[by_width], color=network.colour, lw=0.6)
both[0].set_ylabel("units by width, and the sigmoid")
display(figure)
Markdown(ledger.verdicts("C10"))

# %% [markdown]
# **Answer.** Without gamma and beta all inputs stay where the sigmoid is nearly straight. With them many units leave this range.
# The claim does not ask whether staying there costs accuracy.

# %% [markdown]
# ## 4 How much does an image depend on its mini-batch?
#
# In training, BN makes of an image something that depends on the other images of its mini-batch (Sec. 3.1). The paper says that any
# mini-batch of more than one image will do. The network of Fig. 1 is trained with mini-batches of 2 to 128 images at one rate. The
# *noise* is the variance of an image's logits over 20 mini-batches, divided by the variance between images. In the panel on the right,
# Inception sees validation images that are *shifted* (brighter, with half the contrast); *adapted* BN takes its statistics from them.

# %%
SIZE = "training.batch_size"
sizes, adapted = pair("batch_size", {}, varied=SIZE), arm("Inception with BN", WITH, "x5", {})
figure, ((left, middle, right),) = panels(1, 3)
axis = {"xscale": "log", "xlabel": "images in a mini-batch"}
panel(left, "final accuracy", by(SIZE, sizes), **axis)
share = {"probe": "batch_noise/share", "sites": "first", "at": "last"}
panel(middle, "noise of the logits, with BN", by(SIZE, sizes[:1], share), log_y=True, **axis)
names = {"population": "as they are", "batch": "mini-batch's", "shifted": "shifted", "shifted_adapted": "adapted"}
finals = {r.seed: [r.status["final"].get(f"statistics/{name}") for name in names] for r in adapted.records}
statistics = pd.DataFrame(finals, list(names.values()), dtype=float).dropna(axis=1)
panel(right, "accuracy by statistics", [(adapted, statistics)], ylim=(0, None))
display(figure)
Markdown(ledger.verdicts("C14", "C15", "C48"))

# %% [markdown]
# **Answer.** The statistics of a mini-batch are estimates, and the noise falls with its size. With two images BN fails: two values that
# are centred and divided by their own deviation are +1 and -1, whatever they were. Group normalisation and Batch Renormalization exist
# for this reason. On the other hand, statistics need no labels, so a network can adapt them to new images.

# %% [markdown]
# ## 5 Should BN come before or after the nonlinearity?
#
# The paper (Sec. 3.2) puts BN before the nonlinearity, on W u + b. Its reason is that a sum of many terms is "more Gaussian" than the
# layer's input u. Negentropy measures this: it is zero only for a Gaussian. The networks of the first panels have no BN, which could
# make the shape itself. The last panel compares the accuracy of networks with BN before and after.

# %%
shapes = {
    "3 layers of sigmoids": plain,
    "8 layers of ReLUs": arm("without BN", WITHOUT, "depth", RELU),
    "Inception": arm("without BN", WITHOUT, "x5_inside", NONE),
}
placed = {
    "network of Fig. 1": ledger.effect("C18", "accuracy, MNIST"),
    "Inception": ledger.effect("C18", "accuracy, Inception"),
    "Inception, beta 0": ledger.effect("C18", "accuracy, Inception, beta 0"),
}
figure, grid = panels(2, 2, width=8)
for axes, (name, network) in zip(grid.flat, shapes.items(), strict=False):
    inputs, affine = network._replace(label="u, the layer's input", colour=POOLED), network._replace(label="W u")
    quantities = {"gaussianity/u_negentropy": inputs, "gaussianity/affine_negentropy": affine}
    lines = [(line, by_layer(network.records, quantity)) for quantity, line in quantities.items()]
    panel(axes, f"{name}: negentropy", lines, "layers", log_y=True)
effects(grid[1, 1], placed)
grid[1, 1].set(title="final accuracy, before minus after", xlabel="points")
display(figure)
Markdown(ledger.verdicts("C18"))

# %% [markdown]
# **Answer.** W u is closer to a Gaussian in almost every layer, as the central limit theorem suggests. Only training can tell
# whether BN therefore belongs there. Here each place has its own best rate and initial values. In the network of Fig. 1 BN before the
# nonlinearity ends slightly lower. In Inception it ends 14 points higher. Most of that is due to its beta, which starts at 1 and lifts
# the ReLU's input; with beta at 0 in both places it ends 4.5 points higher. Mishkin et al. (2017) found the place after the ReLUs
# better in one network and the place before them in another.

# %% [markdown]
# ## 6 What happens to gradients and to small changes in a deep network?
#
# The paper (Sec. 1 and 3.3) says that small changes of the parameters amplify on their way up, and that BN stops this. It conjectures
# that with BN gradients keep their size on their way down. The deep networks have eight layers of 100 and the initial weights of
# He et al., which suit ReLUs. The *gradient* is the root mean square at the input of each layer's nonlinearity. The *movement* is how
# far that input moves if every weight matrix takes a step of 1 % of its norm.

# %%
networks = {"sigmoid": pair("depth", {}), "ReLU": pair("depth", RELU), "Inception": pair("x5_inside", {})}
columns = (
    ("gradient, first step", "over the last layer's", "gradients/input_rms", FIRST),
    ("gradient, trained", "over the last layer's", "gradients/input_rms", LAST),
    ("movement, trained", "over its norm", "amplification/relative", LAST),
)
figure, grid = panels(3, 3, 2.5)
for row, (name, arms) in zip(grid, networks.items(), strict=True):
    for axes, (title, label, quantity, look) in zip(row, columns, strict=True):
        frames = [by_layer(network.records, quantity, look) for network in arms]
        if "gradient" in title:
            frames = [frame / frame[-1:].to_numpy() for frame in frames]
        drawn = list(zip(arms, frames, strict=True))
        panel(axes, f"{name}: {title}", drawn, "layers", log_y=True, legend="best" * (axes is row[0]), ylabel=label)
display(figure)
Markdown(ledger.verdicts("C02", "C25", "S5"))

# %% [markdown]
# With BN, gradients *grow* on their way down, and one can compute by how much. Take wide layers at the first step, so that normalised
# inputs x are Gaussian. A layer multiplies the mean square of the gradient by E[g'(x)²], and BN divides it by Var[g(x)]. Poincaré's
# inequality says that Var[g] ≤ E[g'²], with equality for straight lines only (Yang et al. 2019 work this out). The factor per layer is
# therefore at least 1.

# %%
points, weights = np.polynomial.hermite_e.hermegauss(80)
weights = weights / weights.sum()  # E[f(x)] of a standard normal x is weights @ f(points)
sigmoid = 1 / (1 + np.exp(-points))
slope, variance = weights @ (sigmoid * (1 - sigmoid)) ** 2, weights @ sigmoid**2 - (weights @ sigmoid) ** 2
predicted = {"sigmoid": np.sqrt(slope / variance), "ReLU": np.sqrt(np.pi / (np.pi - 1))}


def factor(network) -> float:
    """Return the factor of the gradient per layer on its way down, at the first step; nan if not measured yet."""
    sizes = by_layer(network.records, "gradients/input_rms", FIRST)
    return ((sizes.iloc[0] / sizes.iloc[-1]) ** (1 / (len(sizes) - 1))).mean() if len(sizes) else np.nan


factors = {name: [*map(factor, networks[name]), predicted[name]] for name in predicted}
growth = pd.DataFrame(factors, ["with BN", "without BN", "with BN, predicted"]).T.round(3)
growth.rename_axis("factor of the gradient per layer, first step")

# %% [markdown]
# **Answer.** BN prevents vanishing gradients where they occur, in sigmoids with too small weights. But its division makes gradients
# grow where the nonlinearity is bent, so the conjecture holds only for nearly straight layers. Without BN small changes amplify on
# their way up, in eight layers of ReLUs and far more in Inception. With BN the last layer moves less, but in eight layers of ReLUs
# the first moves less still, so that changes grow even more from the first layer to the last.

# %% [markdown]
# ## 7 Which rates and which initial weights can a network stand?
#
# The paper says that BN allows much higher rates (Sec. 3.3) and less careful initial weights (Sec. 2). Each ladder below
# varies one of the two. For rates the rule takes the largest at which a network ends half as far above chance as at its own best
# (dotted). For initial weights it takes the mean of the accuracy above chance over the rungs, divided by the highest.

# %%
rates = {
    f"network of Fig. 1, weights of std {std:g}": (pair("rate", {STD: std}, RATE), RATE, "rate", "tune/top1")
    for std in (0.1, 0.01)
}
rates["Inception"] = (pair("x5", {}, TIMES), TIMES, "rate, times 0.0015", "val/top1")
initial = {
    f"network of Fig. 1, rate {rate:g}": (pair("init", {RATE: rate}, STD), STD, "std of initial weights", "val/top1")
    for rate in (0.1, 3.0)
}
initial["Inception"] = (pair("x5", {}, GAIN), GAIN, "times the usual weights", "val/top1")
for climbs in (rates, initial):
    figure, (row,) = panels(1, 3)
    for axes, (title, (arms, key, label, column)) in zip(row, climbs.items(), strict=True):
        drawn = by(key, arms, {"final": column})
        panel(axes, title, drawn, xscale="log", xlabel=label, ylabel="final accuracy", ylim=(0, None))
        for network, frame in drawn:
            if len(frame):
                half = (frame.mean(axis=1).max() + chance(network.records[0])) / 2
                axes.axhline(half, color=network.colour, lw=0.8, ls=":")
    display(figure)
Markdown(ledger.verdicts("C21", "C26"))

# %% [markdown]
# **Answer.** The largest good rate is four to eight times higher with BN on MNIST. In Inception it differs from seed to seed, between
# two and ten times. Initial weights matter less with BN in all three networks: most where the network without BN stays at chance
# at most rungs (MNIST at rate 0.1, and Inception), and little at rate 3, where both networks learn at every rung. In Inception the
# smallest weights fail with BN, because ε = 0.001 outweighs their variances. The next cell says what a smaller ε adds.

# %%
smallest = {GAIN: 0.01}
print("Inception at a hundredth of the usual weights, gain of eps = 1e-12 over 1e-3:")
values, effect = gain("x5", smallest | {"norm.eps": 1e-12}, over=smallest)
print(f"{100 * effect.mean:.1f} [{100 * effect.low:.1f}, {100 * effect.high:.1f}] points (n = {len(values)})")

# %% [markdown]
# ## 8 Does BN stabilise the growth of weights?
#
# The paper (Sec. 3.3) notes that BN(Wu) = BN((aW)u), and that the gradient to aW is 1/a of that to W. Larger weights thus get smaller
# gradients. The network of Fig. 1 trains at a constant rate without L2. A step turns W by an angle in proportion to rate / |W|²,
# which is therefore called the *effective rate*.

# %%
figure, ((left, middle, right),) = panels(1, 3)
for axes, network in ((left, bn), (middle, plain)):
    growth = layer_lines(network, "weights/norm", lambda norms: norms / norms.iloc[0])
    panel(axes, network.label, growth, "steps", ylabel="weight norm over the first", ylim=(0, None))
rate = layer_lines(bn, "weights/norm", lambda norms: (norms / norms.iloc[0]) ** -2)
panel(right, f"{bn.label}: effective rate", rate, "steps", ylabel="rate / |W|², over the first", ylim=(0, 1.05))
display(figure)
Markdown(ledger.verdicts("C24"))

# %% [markdown]
# **Answer.** With BN the gradient is orthogonal to W, so each step makes W longer. What shrinks is the effect of the growth:
# a constant rate becomes a decaying one, which the network chooses for each layer. L2 on such weights does not limit what the
# network can represent; it only stops this decay (van Laarhoven 2017, Hoffer et al. 2018).

# %% [markdown]
# ## 9 Does BN help because the moments of layers' inputs stay fixed?
#
# This is the paper's main explanation (Sec. 1 and 3). Santurkar et al. (2018) tested it with noise after BN, whose mean and variance
# are drawn anew at every step. If BN with this noise still learns as fast, fixed moments cannot be the reason. Inference has no
# noise, and its statistics are taken without noise, too. *Unsteadiness* is how much the means of mini-batches differ, in
# standard deviations of the input.

# %%
CLEAN = {"norm.name": "noisy_bn", "norm.noise_in_statistics": False}
SETTING = {STD: 0.1, RATE: 0.3}
POPULATION = {"evaluation.statistics": "population"}
digits = [*pair("control", SETTING), arm("noisy BN", X30, "control", SETTING | CLEAN, line="--")]
pictures = [
    arm("with BN", WITH, "x5", POPULATION),
    arm("without BN", WITHOUT, "x5", NONE),
    arm("noisy BN", X30, "x5", CLEAN, line="--"),
]
figure, places = panels(2, 2, width=8)
accuracy(places[0, 0], "network of Fig. 1", digits)
means = [(network, by_layer(network.records, "unsteadiness/mean")) for network in digits[1:]]
panel(places[0, 1], "network of Fig. 1: unsteadiness", means, "layers", legend="")
accuracy(places[1, 0], "Inception", pictures)
losses = [
    (network, pd.DataFrame({r.seed: r.metrics["train/loss"] for r in network.records if len(r.metrics)}))
    for network in pictures
]
panel(places[1, 1], "Inception: training loss", losses, "steps", legend="")
display(figure)
Markdown(ledger.verdicts("C13"))

# %% [markdown]
# **Answer.** In the network of Fig. 1 the noise makes the means less steady than they are without BN, and takes little from BN, so
# fixed moments are not what helps there. In Inception the noise takes about half of what BN brings. Fixed moments may matter
# there, or the noise may simply be too strong: a control that hurts by itself does not show what it takes away.

# %% [markdown]
# ## 10 Which of BN-x5's changes help?
#
# BN-x5 differs from Inception by more than BN (Sec. 4.2.1). It has a higher rate, no dropout, less L2, no local response
# normalisation (LRN), better shuffling and weaker distortions. Each row undoes one change of BN-x5 and leaves the others. Our BN-x5
# of equal length leaves out the faster decay, so that row makes the change.

# %%
OVERFITS = {  # changes undone, in a network that sees each image 26 times
    "no dropout, or 40 %": {"model.dropout": 0.4},
    "no dropout, or 10 %": {"model.dropout": 0.1},
    "no LRN, or LRN": {"model.lrn": True},
    "half the distortions, or all": {"augment.colour": 1.0},
    "reshuffled, or fixed mini-batches": {"data.shuffle": "shards"},
}
STRONG = {"optimizer.base_l2": 0.01}
late = {name: gain("few", {}, over=keys) for name, keys in OVERFITS.items()}
late["a fifth of the L2, or all"] = gain("few", STRONG, over=STRONG | {"optimizer.l2_multiplier": 1.0})
undone = {
    "batch normalisation, or none": NONE,
    "five times the rate, or once": {TIMES: 1.0},
    "no dropout, or 40 %": {"model.dropout": 0.4},
    "a fifth of the L2, or all": {"optimizer.l2_multiplier": 1.0},
    "no LRN, or LRN": {"model.lrn": True, "model.lrn_alpha": 0.5},
    "reshuffled, or fixed mini-batches": {"data.shuffle": "shards"},
    "half the distortions, or all": {"augment.colour": 1.0},
}
early = {name: gain("x5", {}, over=keys) for name, keys in undone.items()}
early["decay six times faster, or not"] = gain("x5", {"schedule.decay_multiplier": 6.0}, over={})
early["without BN: no dropout, or 40 %"] = gain("x5", NONE, over=NONE | {"model.dropout": 0.4})
figure, ((left, right),) = panels(1, 2, 3.6, width=12)
for axes, changes, title in ((left, early, "700 steps, 2 epochs"), (right, late, "2,000 steps, 26 epochs")):
    effects(axes, changes)
    axes.set(title=title, xlabel="final accuracy, change made minus not made, points")
display(figure)
Markdown(ledger.verdicts("C29", "C39", "C40", "C41", "C42", "C43"))

# %% [markdown]
# **Answer.** Blue rows help, red rows harm, and grey rows are smaller than the seeds can show. On the left the network sees each image
# twice, and half the distortions help (C43). On the right it sees each of 2,500 images 26 times. There dropout and LRN cost accuracy,
# and half the distortions make no difference that ten seeds can show. The ledger judges dropout on networks that overfit (C29), which
# are not drawn here. The rows do not add up, because each is measured with all other changes in place.

# %% [markdown]
# ## What the ten have in common
#
# - What the paper says about *geometry and algebra* holds: normalised inputs lie in the middle of a sigmoid, the scale of weights drops
#   out, and a gradient that ignores the statistics misleads.
# - What it says about *ranges* of rates and of initial weights can be seen. That BN works *because* inputs drift less is an
#   explanation. To test it one needs a control that changes the cause and nothing else, which is hard to build.
# - Two quantities that sound alike can disagree: saturation and trainability, or a gradient that does not vanish and one that keeps
#   its size. A claim is as good as the number that it is given.
