"""The tables of Figure 4, and its description for the registry."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.figures import figure4, figure4_plot
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.figure4 import CLAIMED_CROPS, Evaluation, mcnemar, over_images
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record, Source, records_of
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.prose import prose, tabulate
from bnrepro.analysis.render.table import Page, Table
from bnrepro.analysis.render.text import OVER_IMAGES, interval, percent

PAPER = (  # Fig. 4: model, resolution, crops, networks, top-1 error, top-5 error (on ImageNet's validation images)
    ("GoogLeNet ensemble", "224", "144", "7", "", "6.67"),
    ("Deep Image low-res", "256", "", "1", "", "7.96"),
    ("Deep Image high-res", "512", "", "1", "24.88", "7.42"),
    ("Deep Image ensemble", "variable", "", "", "", "5.98"),
    ("BN-Inception single crop", "224", "1", "1", "25.2", "7.82"),
    ("BN-Inception multicrop", "224", "144", "1", "21.99", "5.82"),
    ("BN-Inception ensemble", "224", "144", "6", "20.1", "4.9"),
    ("BN-Inception ensemble, test images", "224", "144", "6", "", "4.82"),
    ("a reader's note on the paper, test images", "", "", "6", "", "3.8: a misprint for 4.82"),
)
PAPER_SAYS = {
    "C45": "top-1 error 25.2 % with one crop, 21.99 % with 144, 20.1 % with six networks; top-5 7.82, 5.82, 4.9 %",
    "C46": "the mean of the probabilities of six networks errs less than one network",
}
TOPS = (1, 5)
METHODS = {"mean": "mean of probabilities", "logits": "mean of logits", "vote": "majority vote"}
RULES = {
    "C45": "both steps' intervals over images above 0",
    "C46": "interval of the best network's error minus the ensemble's above 0",
}


def _errors(values: list[float]) -> str:
    return percent(Estimate.of(values))


def _gains(evaluation: Evaluation, gain: Callable[[Evaluation, int], Estimate]) -> str:
    top1, top5 = (interval(gain(evaluation, top), 100) for top in TOPS)
    return f"{top1} points less top-1 error and {top5} less top-5 error"


def ours(evaluation: Evaluation) -> dict[str, str]:
    """Return what was measured, by claim."""
    return {
        "C45": f"{CLAIMED_CROPS} crops instead of one: {_gains(evaluation, figure4.crops_gain)}; "
        f"{evaluation.count} networks instead of one: {_gains(evaluation, figure4.ensemble_gain)}",
        "C46": f"all together instead of the best network: {_gains(evaluation, figure4.best_gain)}",
    }


def claims_table(evaluation: Evaluation) -> Table:
    """Tabulate the two claims."""
    measured = ours(evaluation)
    rows = [[claim, PAPER_SAYS[claim], measured[claim], RULES[claim]] for claim in PAPER_SAYS]
    return Table(["claim", "the paper says", f"ours {OVER_IMAGES}", "holds if"], rows)


def figure_table(evaluation: Evaluation, where: str) -> Table:
    """Tabulate Figure 4: the paper's rows, each with ours if there is one."""
    together = [interval(over_images(evaluation.all_wrong(CLAIMED_CROPS, top=top)), 100) for top in TOPS]
    ours = {
        f"BN-Inception {name}": [_errors(evaluation.each_wrong(crops, top).mean(1)) for top in TOPS]
        for name, crops in (("single crop", 1), ("multicrop", CLAIMED_CROPS))
    } | {"BN-Inception ensemble": together}
    head = ["model", "paper: resolution", "crops", "networks"]
    head += [f"paper (ImageNet): top-{top} error, %" for top in TOPS]
    head += [f"ours ({where}): top-{top} error, % (± sd over networks) {OVER_IMAGES}" for top in TOPS]
    rows = [[*row, *ours.get(row[0], ["", ""])] for row in PAPER]
    return Table(head, rows, "Figure 4", note=prose("figure4", "misprint"))


def networks_table(evaluation: Evaluation, members: list[Record]) -> Table:
    """Tabulate the changes and the errors of each network."""
    errors = {
        f"{crops} crop{'s' * (crops > 1)}: top-{top}": evaluation.each_wrong(crops, top).mean(1)
        for crops in evaluation.info["crops"]
        for top in TOPS
    }
    rows = []
    for k, member in enumerate(members):
        config = member.config
        changes = [
            f"initial weights x {config['init']['conv_gain']:g}" if config["init"]["conv_gain"] != 1 else "",
            f"dropout {config['model']['dropout']:.0%}" if config["model"]["dropout"] else "",
            "per-activation BN in 5b" if config["norm"]["last"] else "",
        ]
        errors_of_network = {name: f"{100 * values[k]:.2f}" for name, values in errors.items()}
        about = {"network": f"{k + 1}", "seed": str(member.seed), "changes to BN-x30": ", ".join(filter(None, changes))}
        rows.append(about | errors_of_network)
    means = {name: _errors(values) for name, values in errors.items()}
    rows.append({"network": "mean ± sd", "seed": "", "changes to BN-x30": ""} | means)
    return tabulate("figure4", "The six networks", rows)


def methods_table(evaluation: Evaluation) -> Table:
    """Tabulate the errors of all networks, combined in three ways."""
    rows = []
    for crops in evaluation.info["crops"]:
        of_mean = evaluation.all_wrong(crops)
        for method, name in METHODS.items():
            wrong, not_in_five = (evaluation.all_wrong(crops, method, top) for top in TOPS)
            is_mean = method == "mean"
            rows.append(
                {
                    "crops": str(crops),
                    "together by": name,
                    f"top-1 error, % {OVER_IMAGES}": interval(over_images(wrong), 100),
                    f"top-5 error, % {OVER_IMAGES}": interval(over_images(not_in_five), 100),
                    f"top-1 minus the mean's, points {OVER_IMAGES}": ""
                    if is_mean
                    else interval(over_images(wrong - of_mean), 100, 2, "+"),
                    "McNemar's p": "" if is_mean else f"{mcnemar(wrong, of_mean):.3f}",
                }
            )
    return tabulate("figure4", "All together, in three ways", rows)


def sizes_table(evaluation: Evaluation) -> Table:
    """Tabulate the error by the number of networks."""
    rows = []
    for crops in evaluation.info["crops"]:
        for top in TOPS:
            sizes = 100 * figure4.by_size(evaluation, crops, top=top)
            cells = {
                f"{k}": f"{mean:.2f}" + (f" ({low:.2f} to {high:.2f})" if low < high else "")
                for k, mean, low, high in sizes[["mean", "min", "max"]].itertuples()
            }
            rows.append({"crops": str(crops), "top": str(top)} | cells)
    return tabulate("figure4", "How many networks", rows)


def calibration_table(evaluation: Evaluation) -> Table:
    """Tabulate the expected calibration error of one network and of all."""
    rows = []
    for crops in evaluation.info["crops"]:
        alone = [figure4.calibration_error(evaluation, crops, (k,)) for k in evaluation.everyone]
        together = figure4.calibration_error(evaluation, crops, evaluation.everyone)
        rows.append(
            {
                "crops": str(crops),
                "one network, ECE in % (mean ± sd)": _errors(alone),
                f"all {evaluation.count} together": f"{100 * together:.2f}",
            }
        )
    return tabulate("figure4", "Calibration", rows)


def page(evaluation: Evaluation, members: list[Record]) -> Page:
    """Make table.md."""
    data = dataset.title(members[0])
    opening = prose(
        "figure4",
        "opening",
        data=data,
        rate=f"{members[0].rate:g}",
        beta=f"{members[0].config['init']['beta']:g}",
        steps=f"{members[0].status['steps']:,}",
        shortened=members[0].config["training"]["steps_multiplier"] != 1,
        images=f"{evaluation.images:,}",
        networks=evaluation.count,
        pixels=evaluation.info["pixels"],
    )
    tables = [
        claims_table(evaluation),
        figure_table(evaluation, data),
        networks_table(evaluation, members),
        methods_table(evaluation),
        sizes_table(evaluation),
        calibration_table(evaluation),
    ]
    return Page("Figure 4: crops and an ensemble, measured", opening, tables)


def _read(figure: Figure, source: Source, scale: str, results: Path) -> tuple[Evaluation, list[Record]]:
    evaluation = figure4.evaluation(source, scale)
    return evaluation, figure4.networks(evaluation, records_of(source, figure.name, scale))


def _draw(evaluation: Evaluation, members: list[Record]) -> dict[str, Drawing]:
    title = f"{dataset.title(members[0])}; {evaluation.images:,} validation images"
    return {"figure": figure4_plot.draw(evaluation, title)}


FIGURE = Figure(
    "figure4",
    "Figure 4",
    _draw,
    page,
    required_variants=figure4.MEMBERS,
    read=_read,
    files=figure4.FILES,
    caption="""Six networks, each looked at through 1, 10 or 144 crops, alone and together. Bands are the range over
    all choices of that many networks; areas of the dots in (c) are images.""",
)
