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
# # Twelve claims, looked at from inside
#
# The paper does not only report that batch normalisation works. It says why: inputs that drift, sigmoids that saturate, changes
# that amplify with depth, gradients that keep their size, weights that rein themselves in. Few of these statements are measured
# in it. The ledger of this repository (`results/claims.md`) gives every one a rule, written before its records were made, and a
# verdict. This notebook takes twelve of them, the most telling, alone or with their neighbours, and draws what goes on inside
# the network.
#
# The networks are small. *Fig. 1's* is three layers of 100 sigmoids on binary digits, 5,000 steps; the *deep* ones are two to
# eight such layers, with sigmoids or ReLUs, 2,000 steps; *Inception* is the network of Figs. 2 and 3 at a quarter of the width, on
# 20 classes of Tiny-ImageNet at 32 px, 700 steps with BN-x5's settings. Seed by seed, the arms of a claim start from the same draws
# and, at the same size of the mini-batch, see the same images in the same order, so that an arm differs from its neighbour in one
# thing. A verdict at this scale is one at this scale.
#
# Lines are means over seeds and bands their whole range. A verdict asks that a whole 95 % interval over seeds is
# beyond the edge that its rule names, after a correction for how many such questions are asked; what lies on the edge is
# *inconclusive*. The verdicts below are worked out from the records when the notebook runs. Where it says *not measured
# yet*, there is no record. Set `source` and `scale` to see your own.

# %% tags=["parameters"]
source = "results"  # what is committed; or your own runs: a folder, "runs", or W&B, "wandb:ENTITY/bnrepro"
scale = "mini"

# %%
# %config InlineBackend.figure_formats = ["png"]
# %matplotlib inline
import math
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown, display

from bnrepro.analysis.claims import drawings, ledger, series, table
from bnrepro.analysis.claims.arms import Records
from bnrepro.analysis.claims.definitions import load_experiments
from bnrepro.analysis.claims.drawings.painting import ABSENT
from bnrepro.analysis.claims.series import FINAL, FIRST, LAST, Arm
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.render.style import SIGMOID, WITH, WITHOUT, X30
from bnrepro.analysis.render.table import Table
from bnrepro.cli.notebooks import at_root
from bnrepro.records.files import read_json

at_root()
RESULTS, DEFINITIONS = Path("results"), Path("configs/claims")
rows = {row["id"]: row for row in ledger.build(RESULTS, DEFINITIONS, source, scale).rows}
records = Records(source, load_experiments(DEFINITIONS, scale))
exact = read_json(RESULTS / ledger.IDENTITIES)["numbers"]

NONE, STOP, NOISY = {"norm.name": "none"}, {"norm.name": "bn_stop_gradient"}, {"norm.name": "noisy_bn"}
BN, RELU = {"norm.name": "bn"}, {"model.nonlinearity": "relu"}


def grid(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    return str(Table(head, rows))


def arm(label: str, colour: str, experiment: str, keys: dict | None = None, varied: str = "") -> Arm:
    """Some records of an experiment, by what their configurations say, and how they are drawn."""
    return Arm(label, records.arm(experiment, keys or {}, varied), colour)


def pair(experiment: str, keys: dict | None = None, varied: str = "") -> list[Arm]:
    """The same with BN and without."""
    keys = keys or {}
    return [
        arm("with BN", WITH, experiment, keys | BN, varied),
        arm("without BN", WITHOUT, experiment, keys | NONE, varied),
    ]


def verdicts(*claims: str) -> None:
    """What the ledger says of some claims."""
    display(Markdown("\n".join(table.spelled_out(rows[claim]) for claim in claims)))


def say(text: str, *needed: Arm) -> None:
    """Prose with numbers in it, if the records that they are from are there."""
    if all(one.records for one in needed):
        display(Markdown(text))
    else:
        missing = ", ".join(one.label for one in needed if not one.records)
        display(Markdown(f"*Not measured yet: {missing}.*"))


def mean(frame: pd.DataFrame, at: int = -1) -> float:
    """Mean over seeds of one row of a frame, by place; nan of an empty one."""
    return float(frame.iloc[at].mean()) if len(frame) else math.nan


SECTIONS = {
    "1 Saturation": "C04 C27",
    "2 Normalising behind the gradient's back": "C06 C07",
    "3 The price of whitening": "C08",
    "4 What gamma and beta are for": "C10",
    "5 The company an image keeps": "C14 C15 C48",
    "6 Before or after?": "C18",
    "7 Down eight layers": "C02 C25 S5",
    "8 How high a rate": "C21",
    "9 Weights that rein themselves in": "C24",
    "10 Initial weights": "C26",
    "11 Is it the moments?": "C13",
    "12 Seven changes, one at a time": "C29 C39 C40 C41 C42 C43",
}
Markdown(
    grid(
        ["section", "claims and verdicts"],
        [
            [
                name,
                ", ".join(
                    f"{claim} {table.MARKS[rows[claim]['verdict']]} {rows[claim]['verdict']}" for claim in ids.split()
                ),
            ]
            for name, ids in SECTIONS.items()
        ],
    )
)

# %% [markdown]
# ## 1 Saturation
#
# **The paper** (Sec. 2): for large |x| the derivative of a sigmoid goes to zero, so that what lies below such a unit no longer
# learns. Training moves the inputs of sigmoids into these flat ends, and more so as a network gets deeper. With normalised
# inputs this happens less, and networks of saturating nonlinearities become trainable.
#
# **Measured**: the share of all inputs of a layer's sigmoids at which the derivative is below 0.05, a fifth of its maximum, on
# fixed training images. The network without BN trains at the rate and with the initial weights that suit it best (as tuned on
# held-out images), not at one that would drive it into the corner. Whether sigmoids are trainable is asked of networks of two, four
# and eight layers, whose initial weights are those that suit ReLUs.

# %%
plain, bn = arm("without BN", WITHOUT, "inside"), arm("with BN", WITH, "inside", BN)
deep = pair("depth", varied="model.hidden")
display(drawings.saturation([plain, bn], deep))
verdicts("C04", "C27")

# %%
before, after = (series.by_layer(plain.records, "saturation/share", look) for look in (FIRST, LAST))
normalised = series.by_layer(bn.records, "saturation/share")
top = series.by_step(plain.records, "saturation/share", -1).mean(axis=1)
say(
    f"Without BN {100 * before.to_numpy().mean():.1f} % of all inputs are saturated at the first step and "
    f"{100 * after.to_numpy().mean():.0f} % after training, most of all in layer {after.mean(axis=1).idxmax()}; with BN it is "
    f"{100 * normalised.to_numpy().mean():.0f} %, most of all in layer {normalised.mean(axis=1).idxmax()}. On the way, the last layer "
    f"without BN was at its worst at step {top.idxmax():,}, with {100 * top.max():.0f} %.",
    plain,
    bn,
)

# %% [markdown]
# **To take away.** Saturation is a thing that training does, not one that a network starts with; this part of the story can
# be seen with the naked eye. It does not follow that it is what stops learning: the network without BN learns well with most of
# its sigmoids at their ends, since a unit that is sure of itself on most images is what a classifier is made of. The rule about
# depth compares layers *after* training. Early on the order is another one: the last layer goes first, as Glorot and Bengio (2010),
# whom the paper cites, saw in their networks, and comes back. And the deep sigmoid network without BN does not fail by saturation at all: look at section 7.

# %% [markdown]
# ## 2 Normalising behind the gradient's back
#
# **The paper** (Sec. 2): suppose we normalise now and then, and let gradient descent believe that the statistics are
# constants. It then changes a bias to lower the loss, the normalisation takes the change out again, and the bias grows forever
# while the loss stays. With the scale normalised as well, it is worse. The authors saw a model blow up. This is the
# reason why BN is a *layer*, with the statistics inside the graph.
#
# **Measured**: the paper's example, a bias (or a scale) and nothing else, in exact arithmetic. Then BN with the very same
# values forward, and mean and variance as constants to the gradient: the network of Fig. 1, and Inception. Nothing
# else differs, which makes it a fair test of the gradient's two extra terms.

# %%
control = [arm("BN", WITH, "control"), arm("BN, a constant to the gradient", WITHOUT, "control", STOP)]
large = [arm("BN", WITH, "x5"), arm("BN, a constant to the gradient", WITHOUT, "x5", STOP)]
display(drawings.without_gradient(exact, control, large))
verdicts("C06", "C07")

# %%
gap, _ = series.differences(control[1].records, control[0].records, FINAL)
toy = exact["C07"]
say(
    f"The toy's scale is {toy['scale_at_250']:.1f} after 250 steps and {toy['scale_at_1000']:.1f} after 1,000, as the root of "
    f"the steps: its gradient shrinks as it grows. In the network of Fig. 1 accuracy changes by {100 * gap.mean():+.1f} points.",
    *control,
)

# %% [markdown]
# **To take away.** The toy shows the mechanism: a parameter that the loss cannot see, pushed in one direction for ever. In a
# network a push has no reason to keep its direction, and whether weights run away is a matter of size, rate and time; "the model
# blows up" is what can happen, not what must. The surer part of the lesson is the accuracy: a gradient that points where
# the normalised network cannot go wastes steps even where nothing explodes.

# %% [markdown]
# ## 3 The price of whitening
#
# **The paper** (Sec. 2 and 3): to whiten a layer's inputs would be the thing to do, but it needs a covariance matrix, its
# inverse square root and the derivatives of both, and it is not differentiable everywhere. So BN makes two simplifications:
# each unit by itself, and over a mini-batch.
#
# **Measured**: time of one pass forward and back through ZCA whitening over that through BN, of 1,024 examples, on one machine
# and one thread, alternating; where an eigendecomposition meets two equal eigenvalues, the size of the gradient as they approach.

# %%
display(drawings.whitening(exact["C08"]))
verdicts("C08")

# %%
ratios = exact["C08"]
Markdown(
    f"From 32 to 512 units, {512 // 32} times as many, the ratio grows from {ratios['time_ratio_32']:.0f} to "
    f"{ratios['time_ratio_512']:.0f}. The smallest eigenvalue of the covariance of 8 examples of 100 units is "
    f"{ratios['singular_smallest_eigenvalue']:.0e} of the largest: there is no inverse root to take."
)

# %% [markdown]
# **To take away.** Cost is no matter of a constant: BN is linear in the width, whitening is not. The singularity is a finer
# point than the paper makes it. As a function, ZCA whitening is smooth where two eigenvalues meet, and its gradient stays
# of the same size; it is the way through eigenvectors, which turn arbitrarily there, that breaks, and PCA whitening, which
# uses them as axes. Decorrelated BN (2018) and IterNorm (2019) go around it. And a covariance over fewer examples than units has no
# inverse, whatever the algorithm.

# %% [markdown]
# ## 4 What gamma and beta are for
#
# **The paper** (Sec. 3): normalising changes what a layer can represent. A sigmoid whose inputs have mean 0 and variance 1 is
# used where it is almost a straight line, and a network of straight lines is one. So each unit gets a scale and a shift that are
# learnt, and with which it could undo the normalisation.
#
# **Measured**: the network of Fig. 1 with BN, once without gamma and beta. Left and middle: below the sigmoid a line for every
# unit of the last hidden layer, from the 15th to the 85th percentile of its inputs after training, and grey the range within
# 2 of zero. Right: R² of the best straight line through the sigmoid at its inputs.

# %%
bare = arm("BN without gamma, beta", WITHOUT, "inside", BN | {"norm.affine": False})
display(drawings.linear_regime(bare, bn))
verdicts("C10")

# %%
accuracies, _ = series.differences(bn.records, bare.records, FINAL)
say(
    f"Final accuracy with gamma and beta minus without: {100 * accuracies.mean():+.2f} points, seeds from "
    f"{100 * accuracies.min():+.2f} to {100 * accuracies.max():+.2f}.",
    bare,
    bn,
)

# %% [markdown]
# **To take away.** The geometry is as the paper says, and it is hardly an empirical matter: inputs of mean 0 and variance 1
# cannot lie far out. Networks use the freedom that they are given: the learnt scales pull many units out of the linear range, into
# what section 1 called saturation. *Almost* linear is not linear, though: three layers of nearly straight sigmoids are still a
# classifier, and the difference in accuracy says how much the bend is worth on digits.

# %% [markdown]
# ## 5 The company an image keeps
#
# **The paper** (Sec. 3, 3.1 and 3.4): in training, what BN makes of an image depends on the others in its mini-batch; in
# inference it does not, for fixed statistics take over. Any mini-batch of more than one image will do (and any optimiser).
# As future work (Sec. 5) the statistics could be taken anew where the images are of another kind.
#
# **Measured**: the network of Fig. 1, trained with mini-batches of 2 to 128 images at one rate, at which it learns with and
# without BN at every size, for the same number of steps: larger mini-batches see more images, in both arms. Noise of the
# logits: an image is shown 20 times among others, and the variance of what the network says is divided by the variance
# between images (of two images there is none to take). Adaptation: Inception's validation images at half the contrast and brighter, with the statistics of
# training, and with those of the changed images, for which no label is needed. (C48 also asks what BN does for a recurrent
# network; that reading is judged here, and not drawn.)

# %%
sizes = pair("batch_size", varied="training.batch_size")
display(drawings.company(sizes, arm("Inception with BN", WITH, "x5")))
verdicts("C14", "C15", "C48")

# %% [markdown]
# **To take away.** A mini-batch's statistics are estimates, with a variance that falls in proportion to its size, and the network
# trains on this noise. Large mini-batches have little of it, and then BN is nearly a fixed rescaling; with a handful of images
# it is a different function of every image at every step. At two it is no estimate at all: two values that are centred and divided by
# their own deviation are +1 and -1, whatever they were, so that a layer without maps learns only which of two images has more of
# something. That is the price of the second simplification, and why group normalisation and Batch Renormalization exist.
# The other side of the coin is that statistics are a part of a network that takes no labels to estimate.

# %% [markdown]
# ## 6 Before or after?
#
# **The paper** (Sec. 3.2): BN goes before the nonlinearity, on W u + b, and not on the layer's input u. For u comes out of
# another nonlinearity, its shape changes while training, and to fix its mean and variance would not fix the distribution.
# W u + b is a sum of many, more symmetric and "more Gaussian".
#
# **Measured**: negentropy, which is zero for a Gaussian alone, of u and of W u, unit by unit, in networks without BN, so that
# the shape is not one that BN has made. Then what follows from it: the same network with BN before and with BN after its
# nonlinearities, accuracy while it trains.

# %%
shapes = {
    "3 layers of sigmoids": plain,
    "8 layers of ReLUs": arm("without BN", WITHOUT, "depth", RELU),
    "Inception": arm("without BN", WITHOUT, "x5_inside", NONE),
}
AFTER = {"norm.placement": "after"}
places = {
    "network of Fig. 1": [arm("before", WITH, "control"), arm("after", SIGMOID, "control", AFTER)],
    "Inception": [arm("before", WITH, "x5"), arm("after", SIGMOID, "x5", AFTER)],
}
final = {name: series.differences(one.records, other.records, FINAL) for name, (one, other) in places.items()}
display(drawings.before_after(shapes, places, final))
verdicts("C18")

# %% [markdown]
# **To take away.** The argument and the advice are two things. A sum of many terms is closer to a Gaussian than its terms,
# as the central limit theorem has it, and one sees it in almost every layer. That BN therefore *belongs* there is
# a guess about training, to be tested by training; Mishkin et al. (2017) found it better after the ReLUs of one network and
# before those of another. The advice is convention, and the convention is not what the shape decides.

# %% [markdown]
# ## 7 Down eight layers
#
# **The paper** (Sec. 1 and 3.3): small changes of the parameters amplify on their way up through a deep network, and BN stops
# that. On the way down, it conjectures, gradients keep their size: if inputs and outputs of a layer are both Gaussian, white and
# of unit variance, its Jacobian has singular values near 1. A reader's note makes of it that BN
# prevents vanishing gradients (S5).
#
# **Measured**: eight layers of 100 with initial weights after He et al., made for ReLUs, so that the ReLU network without BN has
# the best of starts. Root mean square of the gradient to the input of each layer's nonlinearity, over that at the last; and how far
# that input moves, over its norm, if every weight matrix takes a step of 1 % of its own norm down its gradient: amplification is
# the rise from the first layer to the last. A relative step is the fair one: the networks' weights have different scales.

# %%
networks = {"sigmoid": pair("depth"), "ReLU": pair("depth", RELU), "Inception": pair("x5_inside")}
display(drawings.depth(networks))

# %% [markdown]
# The singular values themselves, of the map from one layer's normalised activations to the next's at single images: the line is
# the median, the wide band goes from the 10th to the 90th percentile. A ReLU that is off is a zero in the Jacobian, so that with
# ReLUs the 10th percentile cannot be anything but zero, and the median lies where the zeros end.

# %%
display(drawings.singular_values({"sigmoid": networks["sigmoid"], "ReLU": networks["ReLU"]}))
verdicts("C02", "C25", "S5")


# %% [markdown]
# Why should a gradient grow with BN? Take wide layers at their first step, so that a normalised input x is Gaussian, and a
# large mini-batch. On the way down a layer multiplies the mean square of the gradient by E[g'(x)²], and BN divides by the
# variance of what came up, which is Var[g(x)]. Poincaré's inequality for Gaussians says Var[g] ≤ E[g'²], with equality for
# straight lines only. So at the first step BN with *any* nonlinearity makes gradients grow towards the input, at a rate that
# one can compute: this is what Yang et al. (2019) work out. For ReLUs it is π / (π - 1) a layer for the mean square; sigmoids are
# nearly straight where BN puts them. Without BN the same count has the variance of the weights in it, which He et al. chose
# for ReLUs to make it 1.

# %%
points, weights = np.polynomial.hermite_e.hermegauss(80)
weights = weights / weights.sum()
sigmoid = 1 / (1 + np.exp(-points))
variance = weights @ sigmoid**2 - (weights @ sigmoid) ** 2
predicted = {
    "sigmoid": math.sqrt(weights @ (sigmoid * (1 - sigmoid)) ** 2 / variance),
    "ReLU": math.sqrt(math.pi / (math.pi - 1)),
}


def a_layer(one: Arm) -> str:
    """By which factor the gradient changes a layer on its way down, at the first step."""
    sizes = series.by_layer(one.records, "gradients/input_rms", FIRST)
    return f"{float(((sizes.iloc[0] / sizes.iloc[-1]) ** (1 / (len(sizes) - 1))).mean()):.3f}" if len(sizes) else ABSENT


Markdown(
    grid(
        ["factor of the gradient a layer, first step", "without BN", "with BN", "with BN, predicted"],
        [
            [name, a_layer(networks[name][1]), a_layer(networks[name][0]), f"{predicted[name]:.3f}"]
            for name in ("sigmoid", "ReLU")
        ],
    )
)


# %%
def amplification(one: Arm) -> str:
    """How far the last layer's input moves over the first layer's, after training."""
    moved = series.by_layer(one.records, "amplification/relative")
    return f"{np.exp(np.log(moved.iloc[-1] / moved.iloc[0]).mean()):.1f}" if len(moved) else ABSENT


Markdown(
    grid(
        ["amplification, last layer over first, trained", "without BN", "with BN"],
        [[name, amplification(plain_), amplification(bn_)] for name, (bn_, plain_) in networks.items()],
    )
)

# %% [markdown]
# **To take away.** Vanishing gradients are what BN prevents where they are there to be prevented: sigmoids with weights too small
# for them. It does so by the division, and the same division makes gradients *grow* where the nonlinearity is bent. The conjecture
# is argued for layers that are linear: the nearer a layer is to that, the truer it is of the gradient's size; the singular
# values of a square random matrix spread down to zero whatever one divides it by. And with amplification one has to say of what:
# the deep sigmoids without BN hardly learn, pass on hardly anything of their input, and amplify least, so that a small factor is no
# virtue by itself. Compare slopes (the claim) with the heights at which the lines end, which is what the top layer has to put up
# with. Nor is growth downward a mark of BN alone, nor of every moment of training: compare first step and last, and the networks with
# each other. That readings of one claim differ from network to network is the finding.

# %% [markdown]
# ## 8 How high a rate
#
# **The paper** (Sec. 3.3 and 4.2.1): with BN one can train at much higher rates, without the explosion, the vanishing or the poor
# minima that they bring otherwise.
#
# **Measured**: the whole ladder of rates instead of one: the network of Fig. 1 at 0.1 to 300, on held-out training images, with
# either size of initial weights; and Inception at 1 to 1,000 times its first rate. The rule asks for the largest rate
# at which a network still gets to half of its own best accuracy (dotted), so that a network is not punished for being worse at
# its best.

# %%
RATE = "optimizer.base_lr"
sweeps = {
    f"network of Fig. 1, weights of std {std:g}": (
        pair("rate", {"init.std": std}, RATE),
        RATE,
        "rate",
        "tune/top1",
    )
    for std in (0.1, 0.01)
}
times = "optimizer.lr_multiplier"
sweeps["Inception"] = (pair("x5", varied=times), times, "times 0.0015", "val/top1")
display(drawings.ladders(sweeps))
verdicts("C21")


# %%
def learns(name: str) -> list[list[str]]:
    """A row an arm: its best rate, what it comes to there, and between which rates it comes to half of that."""
    arms, key, _, column = sweeps[name]
    found = []
    for one in arms:
        curve = series.ladder(one.records, key, {"final": column})
        if len(curve) < 2:
            found.append([name, one.label, "", ABSENT, ""])
            continue
        curve = curve.mean(axis=1)
        able = curve.index[curve >= curve.max() / 2]
        span = f"{able.min():g} to {able.max():g}"
        found.append([name, one.label, f"{curve.idxmax():g}", f"{100 * curve.max():.1f} %", span])
    return found


head = ["network", "arm", "best rate", "accuracy there", "half of that, on the mean curve, at"]
Markdown(grid(head, [row for name in sweeps for row in learns(name)]))

# %% [markdown]
# **To take away.** The claim is about a *width*, the range of rates at which a network learns, and not about the best that it comes to.
# Read the curves for both: how far they reach to the right, and how high they are at the top. A wide range may explain much of the
# rest, for a network that can be trained at a high rate is done sooner (Bjorck et al. 2018). And where the tops are close, part of
# what looks like better accuracy in a comparison at one rate is that the rate suits one of the two.

# %% [markdown]
# ## 9 Weights that rein themselves in
#
# **The paper** (Sec. 3.3): BN(Wu) = BN((aW)u), so that the scale of W does not matter, and the gradient to aW is 1/a of that to W.
# Larger weights thus get smaller gradients, and BN stabilises the growth of weights.
#
# **Measured**: the identities exactly; and the norm of each layer's weights in the network of Fig. 1 over its norm at the
# first step, at a constant rate without L2. A gradient that is orthogonal to W, as scale invariance makes it, can
# only lengthen W: |W|² rises by rate² times |gradient|² a step. Since a step turns W by an angle in proportion to rate / |W|²,
# that ratio is the rate that matters. The network without BN stands beside it, though the rule does not ask for it.

# %%
display(drawings.weight_growth(bn, plain))
verdicts("C24")

# %%
effective = [
    1 / mean(series.by_step(bn.records, "weights/norm", k) / series.by_step(bn.records, "weights/norm", k).iloc[0]) ** 2
    for k in range(1, series.layers(bn.records, "weights/norm") + 1)
]
grown = series.by_layer(plain.records, "weights/norm") / series.by_layer(plain.records, "weights/norm", FIRST)
say(
    "At the end of training at a constant rate the effective one of the layers with BN is "
    + ", ".join(f"{100 * share:.0f} %" for share in effective)
    + " of the first. Without BN the weights have grown "
    + ", ".join(f"{factor:.1f}" for factor in grown.mean(axis=1))
    + " times.",
    bn,
    plain,
)

# %% [markdown]
# **To take away.** "Stabilises" does not mean that weights stop growing, or grow less than without BN: with BN their norm has no
# way but up, and what shrinks is its effect. A constant rate becomes a decaying one, chosen by the network for each layer; L2 on such
# weights does not limit what the network can represent, it only stops this decay (van Laarhoven 2017, Hoffer et al. 2018). That
# is also why a rate that is far too high does less harm: one giant step makes the norm so large that the next are small.

# %% [markdown]
# ## 10 Initial weights
#
# **The paper** (Abstract and Sec. 2): with BN one may be much less careful about initialisation.
#
# **Measured**: a ladder again: Gaussian weights of standard deviation 0.001 to 1 in the network of Fig. 1, at a low rate and at
# the high one that suits it, and Inception with its initial weights times 0.01 to 10. The rule takes the best minus the worst
# accuracy over the ladder, without BN minus with.

# %%
std, gain = "init.std", "init.gain"
ladders = {
    f"network of Fig. 1, rate {rate:g}": (pair("init", {RATE: rate}, std), std, "std of initial weights", "val/top1")
    for rate in (0.1, 3.0)
}
ladders["Inception"] = (pair("x5", varied=gain), gain, "times the usual weights", "val/top1")
display(drawings.ladders(ladders))
verdicts("C26")

# %% [markdown]
# On Inception the rule speaks against BN, and the drawing shows how: without it one rung of six is learnt, and the spread is
# what is learnt there; with it five are, the best of them better, and the smallest is not, so that more is lost. There ε = 0.001
# outweighs the variances that it is added to, and each layer passes on less of the signal. If that is the reason, a smaller ε must
# undo it.

# %%
hundredth = {gain: 0.01}
usual = arm("the smallest weights", WITH, "x5", hundredth)
undone = arm("the smallest weights, a smaller ε", WITH, "x5", hundredth | {"norm.eps": 1e-12})
learnt, gained = series.differences(undone.records, usual.records, FINAL)
say(
    f"With a hundredth of the initial weights and ε = 10⁻¹² instead of 0.001 the network with BN ends {100 * gained.mean:.1f} "
    f"[{100 * gained.low:.1f}, {100 * gained.high:.1f}] points higher (n = {len(learnt)}).",
    usual,
    undone,
)

# %% [markdown]
# **To take away.** In exact arithmetic and with ε = 0 the scale of weights that BN follows changes nothing forward. It changes the
# effective rate of section 9, by its square: with BN a ladder of initial weights *is* a ladder of rates, with small weights for high
# ones. So the two claims, of rates and of initial weights, are one, and where the ladder bends with BN one sees the ends of the range
# of section 8, or the ε in the denominator. And *spread* is a poor measure of what a user wants, which is to be right on many rungs.

# %% [markdown]
# ## 11 Is it the moments?
#
# **The paper** (Sec. 1 and 3): layers' inputs whose moments stay fixed, less *internal covariate shift*, are why training is faster.
#
# **Measured**: as Santurkar et al. (2018) did. Put noise behind BN whose mean and variance are drawn anew at every step, so that the
# moments are anything but fixed, and see whether what BN brings is gone: accuracy averaged over the run, with noise, against half
# way between BN and none. Inference is without noise, so that a deep network meets inputs that it was not trained on, and is
# judged by its training loss, too. And *shift* by another definition: how far a layer's gradient changes when the layers below take
# their step. The network of Fig. 1 is shown at the rate and initial weights that suit BN, at which it does not learn without, and
# at others at which either learns.

# %%
FASTER = {"init.std": 0.1, RATE: 0.3}


def noisy(experiment: str, keys: dict) -> list[Arm]:
    """BN, noisy BN and none."""
    return [*pair(experiment, keys), arm("noisy BN", X30, experiment, keys | NOISY)._replace(line="--")]


runs = {
    "rate 0.1, std 0.01": noisy("control", {}),
    "rate 0.3, std 0.1": noisy("control", FASTER),
    "Inception": noisy("x5", {}),
}
display(drawings.noise(runs, pair("inside")))
verdicts("C13")

# %% [markdown]
# **To take away.** Look at the three lines of one panel together. Where noisy BN is on the line of BN, moments that jump at every
# step cost nothing, and fixed moments cannot be what helped; where it falls to the line without BN, or below it, they may be, or the
# noise is simply too much for that network: a control that hurts by itself does not say what it takes away. Two more cautions. A
# network that stands still has inputs that wander far *in units of their own width*, for the width is next to nothing. And
# the percentiles behind "wandering" are over ten mini-batches at once, each with noise of its own, so that they average out much
# of what one step sees.

# %% [markdown]
# ## 12 Seven changes, one at a time
#
# **The paper** (Sec. 4.2.1): BN-x5 is not only BN. It comes with a higher rate, no dropout, a fifth of the L2, a faster decay, no local
# response normalisation, better shuffling, and weaker distortions; of shuffling alone a number is given, about one point.
#
# **Measured**: Inception with BN-x5's settings, and each change undone by itself (the decay, which our BN-x5 of equal length leaves out,
# made by itself), all else as before; BN itself is one more row. This answers what a change does *given the others*, which is the
# question a user has. Every row is paired by seed, and drawn by final accuracy; the rule for the decay takes the highest.

# %%
base = arm("BN-x5", WITH, "x5")
undone = {
    "batch normalisation, or none": NONE,
    "five times the rate, or once": {"optimizer.lr_multiplier": 1.0},
    "no dropout, or 40 %": {"model.dropout": 0.4},
    "a fifth of the L2, or all": {"optimizer.l2_multiplier": 1.0},
    "no LRN, or LRN": {"model.lrn": True},
    "reshuffled, or fixed mini-batches": {"data.shuffle": "shards"},
    "half the distortions, or all": {"augment.colour": 1.0},
}
effects = {name: series.differences(base.records, records.arm("x5", keys), FINAL) for name, keys in undone.items()}
decayed = records.arm("x5", {"schedule.decay_multiplier": 6.0})
effects["decay six times faster, or not"] = series.differences(decayed, base.records, FINAL)
alone = records.arm("x5", NONE)
for name in ("no dropout, or 40 %", "no LRN, or LRN"):
    effects[f"without BN: {name}"] = series.differences(alone, records.arm("x5", NONE | undone[name]), FINAL)
display(drawings.changes(effects))
verdicts("C29", "C39", "C40", "C41", "C42", "C43")

# %%
text = ""
if base.records:
    images = dataset.held_out(base.records[0])
    level = float(np.mean([record.status["final"]["val/top1"] for record in base.records]))
    gain, change = max((values.mean(), name) for name, (values, _) in effects.items() if len(values))
    text = (
        f"Accuracies are on {images:,} images: at {100 * level:.0f} % one run's has a standard error of "
        f"{100 * math.sqrt(level * (1 - level) / images):.1f} points for that alone. The largest gain of those measured is "
        f"from *{change}*, {100 * gain:+.1f} points."
    )
say(text, base)

# %% [markdown]
# **To take away.** A network with six small helpers and one large one is easily credited to the wrong one. After 700 steps
# nothing overfits, so that what protects from it, dropout, L2 and distortions, can only cost here: such rows say that a change does no
# harm early, not what it brings in the end. Grey rows are not zeros, they are effects smaller than five seeds and as many images can
# show. And sums do not add up: each row is measured with all other changes in place.

# %% [markdown]
# ## What the twelve have in common
#
# - What the paper says about *geometry and algebra* stands: normalised inputs sit in the middle of a sigmoid, scale drops out,
#   whitening is dear, statistics that the gradient ignores mislead it.
# - What it says about *training* is of two kinds. That one may choose rates and initial weights more freely is about
#   ranges, and one can see ranges. That it works *because* inputs drift less is an explanation, and to test one takes a control that
#   changes the cause and nothing else, which is hard to build.
# - Two quantities that sound alike can disagree: wandering in units of width and shift of gradients, saturation and
#   trainability, a gradient that does not vanish and one that keeps its size. A claim is as good as the number that it is given.
