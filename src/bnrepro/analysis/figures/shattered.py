"""What holds BN back under ReLUs: gradients inside Inception at `mini`, by nonlinearity and beta.

Balduzzi et al. 2017 (arXiv:1702.08591) show that gradients of a deep ReLU network without shortcuts resemble white
noise: they are "shattered". Yang et al. 2019 (arXiv:1902.08129) show that BN makes such a network's gradients grow
exponentially with depth, less so the closer its nonlinearities are to linear. A beta of 1 moves the bend of a ReLU one
standard deviation below the mean of its inputs, and a leaky ReLU bends less. Both bring the network nearer to a linear
one.
"""

from matplotlib.figure import Figure as Drawing
from matplotlib.ticker import PercentFormatter

from bnrepro.analysis.claims.arms import value
from bnrepro.analysis.claims.series import by_layer
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.reading import curves
from bnrepro.analysis.reading.load import Arms, Record, Source, records_or_committed
from bnrepro.analysis.reading.statistics import Estimate, geometric
from bnrepro.analysis.render import style
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import OF_RATIOS, OVER_SEEDS, interval, percent

EXPERIMENT = "claims/x5_inside"
FIRST = 0  # the look after the first step
KEYS = ("norm.name", "model.nonlinearity", "init.beta")
NETWORKS = {  # by title: the values of KEYS, the colour and the line
    "BN, ReLU": (("bn", "relu", 0.0), style.WITH, "-"),
    "BN, ReLU, beta starts at 1": (("bn", "relu", 1.0), style.X5, "-"),
    "BN, leaky ReLU": (("bn", "leaky_relu", 0.0), style.X30, "-"),
    "BN, sigmoid": (("bn", "sigmoid", 0.0), style.SIGMOID, "-"),
    "no BN, ReLU": (("none", "relu", 0.0), style.WITHOUT, "--"),
    "no BN, leaky ReLU": (("none", "leaky_relu", 0.0), style.SIGMOID_WITHOUT, "--"),
}
RELATIVE, COSINE = "gradients/weight_relative", "shift/cosine"
COLUMNS = [
    "network",
    "n",
    "final top-1, % (± sd)",
    f"gradient over weight at step 1, first layer over last {OF_RATIOS}",
    f"cosine at step 1, mean over layers {OVER_SEEDS}",
]


def arms(source: Source, scale: str = "mini") -> Arms:
    """Return the records of each network that has any, by title; the committed ones if the source has none.

    Seeds that one of these networks lacks are left out.
    """
    records = records_or_committed(source, EXPERIMENT, scale)
    chosen = {
        title: [record for record in records if tuple(value(record.config, key) for key in KEYS) == settings]
        for title, (settings, _, _) in NETWORKS.items()
    }
    chosen = {title: records_of_network for title, records_of_network in chosen.items() if records_of_network}
    seeds = [{record.seed for record in records_of_network} for records_of_network in chosen.values()]
    shared = set.intersection(*seeds) if seeds else set()
    return {title: [r for r in records_of_network if r.seed in shared] for title, records_of_network in chosen.items()}


def draw(networks: Arms) -> Drawing:
    """Draw accuracy while training, and for each layer the relative gradient and the cosine at the first step.

    Lines are means over seeds, and bands are ranges. The cosine is between a layer's gradient before and after all
    layers before it have taken their own step (`bnrepro.probes.of_gradients.shift`), in eight layers.
    """
    figure = Drawing(figsize=(7, 6))
    panels = figure.subplot_mosaic("aa;bc", height_ratios=(1.2, 1))
    accuracy, relative, cosine = panels.values()
    ends = []
    for title, records in networks.items():
        _, colour, line = NETWORKS[title]
        ends.append((*style.draw_seeds(accuracy, curves.accuracies(records), colour, line=line), title, colour))
        for axes, quantity, marker in ((relative, RELATIVE, ""), (cosine, COSINE, "o")):
            by_site = by_layer(records, quantity, FIRST)
            axes.plot(by_site.index, by_site.mean(axis=1), color=colour, ls=line, marker=marker, ms=4)
            axes.set_xlabel("layer, from the image up")
    accuracy.set(xlim=(0, None), ylim=(0, None))
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    style.steps_axis(accuracy)
    style.label_ends(accuracy, ends, gap=0.07)
    relative.set_yscale("log")
    cosine.set_ylim(-0.3, 1.05)
    seeds = style.seeds({title: len(records) for title, records in networks.items()})
    accuracy.set_title(f"(a) validation accuracy, mean and range ({seeds})")
    relative.set_title("(b) gradient over weight at step 1")
    cosine.set_title("(c) cosine after the layers before step")
    return figure


def _final(records: list[Record]) -> str:
    if diverged := sum(record.diverged for record in records):
        return f"{diverged} of {len(records)} diverge"
    return percent(Estimate.of(curves.finals(records)))


def page(networks: Arms) -> Page:
    """Make table.md: the final accuracy, and the gradients of the first step."""
    rows = []
    for title, records in networks.items():
        relative, cosine = (by_layer(records, quantity, FIRST) for quantity in (RELATIVE, COSINE))
        growth = geometric((relative.iloc[0] / relative.iloc[-1]).to_numpy())
        mean_cosine = Estimate.of(cosine.mean().to_numpy())
        rows.append([title, str(len(records)), _final(records), interval(growth, digits=1), interval(mean_cosine)])
    return Page("What holds BN back under ReLUs", prose("shattered", "opening"), [Table(COLUMNS, rows)])


FIGURE = Figure(
    "shattered",
    "What holds BN back under ReLUs",
    lambda networks: {"figure": draw(networks)},
    page,
    required_variants=("x5_inside",),
    scale="mini",
    folder=EXPERIMENT,
    read=lambda figure, source, scale, results: (arms(source, scale),),
    caption="""Inception with BN-x5's settings for 700 steps. With BN and ReLUs the gradients of the first step grow on
    their way down, and a layer's gradient has nothing to do with what it is once the layers before have stepped. With
    beta at 1, or leaky units, both effects are much smaller, and the network is nearly twice as accurate.""",
)
