"""The tables of Figure 4, and its description for the registry."""

from pathlib import Path

from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.figures import figure4, figure4_plot
from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.figures.figure4 import MOST, Evaluation, mcnemar, over_images
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record, Source, records_of
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import ClaimName, Page, Table
from bnrepro.analysis.render.text import interval, percent
from bnrepro.errors import UserError

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
METHODS = {"mean": "mean of probabilities", "logits": "mean of logits", "vote": "majority vote"}
RULES = {
    "C45": "both steps' intervals over images above 0",
    "C46": "interval of the best network's error minus the ensemble's above 0",
}


def _errors(values: list[float]) -> str:
    return percent(Estimate.of(values))


def ours(evaluation: Evaluation) -> dict[str, str]:
    """Return what was measured, by claim."""
    return {
        "C45": f"top-1: one crop to {MOST} {interval(figure4.crops_gain(evaluation), 100)} points less, one network to "
        f"{evaluation.count} {interval(figure4.ensemble_gain(evaluation), 100)} less; top-5: "
        f"{interval(figure4.crops_gain(evaluation, 5), 100)}, {interval(figure4.ensemble_gain(evaluation, 5), 100)}",
        "C46": f"top-1: {interval(figure4.best_gain(evaluation), 100)} points less than the best network, "
        f"top-5: {interval(figure4.best_gain(evaluation, 5), 100)}",
    }


def claims_table(evaluation: Evaluation) -> Table:
    """Tabulate the two claims."""
    measured = ours(evaluation)
    rows = [[ClaimName(claim), PAPER_SAYS[claim], measured[claim], RULES[claim]] for claim in PAPER_SAYS]
    return Table(["claim", "the paper says", "ours", "holds if"], rows)


def figure_table(evaluation: Evaluation, where: str) -> Table:
    """Tabulate Figure 4: the paper's rows, each with ours if there is one."""

    def alone(crops: int) -> list[str]:
        return [_errors(evaluation.each_wrong(crops, top).mean(1)) for top in (1, 5)]

    def together(crops: int) -> list[str]:
        return [interval(over_images(evaluation.all_wrong(crops, top=top)), 100) for top in (1, 5)]

    ours = {
        "BN-Inception single crop": alone(1),
        "BN-Inception multicrop": alone(MOST),
        "BN-Inception ensemble": together(MOST),
    }
    head = ["model", "resolution", "crops", "networks"]
    head += [f"{paper}: top-{top} error, %" for paper in ("paper (ImageNet)", f"ours ({where})") for top in (1, 5)]
    rows = [[*row, *ours.get(row[0], ["", ""])] for row in PAPER]
    return Table(head, rows, "Figure 4", note=prose("figure4", "misprint"))


def networks_table(evaluation: Evaluation, members: list[Record]) -> Table:
    """Tabulate the changes and the errors of each network."""
    looks = [(crops, top) for crops in evaluation.info["crops"] for top in (1, 5)]
    rows = []
    for k, member in enumerate(members, 1):
        config = member.config
        changes = [
            f"initial weights x {config['init']['conv_gain']:g}" if config["init"]["conv_gain"] != 1 else "",
            f"dropout {config['model']['dropout']:.0%}" if config["model"]["dropout"] else "",
            "per-activation BN in 5b" if config["norm"]["last"] else "",
        ]
        errors = [f"{100 * evaluation.wrong(crops, (k,), top=top).mean():.2f}" for crops, top in looks]
        rows.append([f"{k}", str(member.seed), ", ".join(filter(None, changes)), *errors])
    means = [_errors(evaluation.each_wrong(crops, top).mean(1)) for crops, top in looks]
    rows.append(["mean ± sd", "", "", *means])
    columns = [f"{crops} crop{'s' * (crops > 1)}: top-{top}" for crops, top in looks]
    head = ["network", "seed", "changes to BN-x30", *columns]
    return Table(head, rows, "The six networks", "Errors in %, of each network alone.")


def methods_table(evaluation: Evaluation) -> Table:
    """Tabulate the errors of all networks, combined in three ways."""
    rows = []
    for crops in evaluation.info["crops"]:
        of_mean = evaluation.all_wrong(crops)
        for method, name in METHODS.items():
            wrong, not_in_five = (evaluation.all_wrong(crops, method, top) for top in (1, 5))
            errors = [interval(over_images(values), 100) for values in (wrong, not_in_five)]
            against = [interval(over_images(wrong - of_mean), 100, 2, "+"), f"{mcnemar(wrong, of_mean):.3f}"]
            rows.append([str(crops), name, *errors, *(["", ""] if method == "mean" else against)])
    head = ["crops", "together by", "top-1 error, %", "top-5 error, %", "top-1 minus the mean's, points", "McNemar's p"]
    title = "All together, in three ways"
    return Table(head, rows, title, prose("figure4", title))


def sizes_table(evaluation: Evaluation) -> Table:
    """Tabulate the error by the number of networks."""
    rows = []
    for crops in evaluation.info["crops"]:
        for top in (1, 5):
            sizes = 100 * figure4.by_size(evaluation, crops, top=top)
            cells = [
                f"{mean:.2f}" + (f" ({low:.2f} to {high:.2f})" if low < high else "")
                for mean, low, high in sizes[["mean", "min", "max"]].itertuples(index=False)
            ]
            rows.append([str(crops), str(top), *cells])
    head = ["crops", "top", *(f"{k}" for k in range(1, evaluation.count + 1))]
    text = "Error in % of the mean of probabilities: mean (range) over all choices of so many networks."
    return Table(head, rows, "How many networks", text)


def calibration_table(evaluation: Evaluation) -> Table:
    """Tabulate the expected calibration error of one network and of all."""
    rows = []
    for crops in evaluation.info["crops"]:
        alone = [figure4.calibration_error(evaluation, crops, (k,)) for k in evaluation.everyone]
        together = figure4.calibration_error(evaluation, crops, evaluation.everyone)
        rows.append([str(crops), _errors(alone), f"{100 * together:.2f}"])
    head = ["crops", "one network, ECE in % (mean ± sd)", f"all {evaluation.count} together"]
    text = "Expected calibration error, 15 bins of equal width, of the mean of probabilities."
    return Table(head, rows, "Calibration", text)


def page(evaluation: Evaluation, members: list[Record]) -> Page:
    """Make table.md."""
    data = dataset.title(members[0])
    opening = prose(
        "figure4",
        "opening",
        data=data,
        steps=f"{members[0].status['steps']:,}",
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
    if not isinstance(source, Path | str):
        raise UserError("figure4 is of an evaluation, not of runs; give the runs directory, which holds both")
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
    needed=figure4.MEMBERS,
    read=_read,
    files=figure4.FILES,
    caption="""Six networks, each looked at through 1, 10 or 144 crops, alone and together. Bands are the range over
    all choices of so many networks; areas of the dots in (c) are images.""",
)
