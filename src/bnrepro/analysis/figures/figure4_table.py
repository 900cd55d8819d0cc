"""The table of Figure 4, the paper's rows beside ours, and what else there is to say of an ensemble."""

from bnrepro.analysis.figures import figure4
from bnrepro.analysis.figures.figure4 import MOST, Evaluation, mcnemar, over_images
from bnrepro.analysis.reading import dataset
from bnrepro.analysis.reading.load import Record
from bnrepro.analysis.reading.statistics import Estimate
from bnrepro.analysis.render.text import grid, interval, paragraph, percent

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
SAID = {
    "C45": "top-1 error 25.2 % with one crop, 21.99 % with 144, 20.1 % with six networks; top-5 7.82, 5.82, 4.9 %",
    "C46": "the mean of the probabilities of six networks errs less than one network",
}
RULES = {
    "C45": "both steps' intervals over images above 0",
    "C46": "interval of the best network's error minus the ensemble's above 0",
}


def _errors(values: list[float]) -> str:
    return percent(Estimate.of(values))


def ours(found: Evaluation) -> dict[str, str]:
    """What was measured, by claim."""
    return {
        "C45": f"top-1: one crop to {MOST} {interval(figure4.crops_gain(found), 100)} points less, one network to "
        f"{found.count} {interval(figure4.ensemble_gain(found), 100)} less; top-5: "
        f"{interval(figure4.crops_gain(found, 5), 100)}, {interval(figure4.ensemble_gain(found, 5), 100)}",
        "C46": f"top-1: {interval(figure4.best_gain(found), 100)} points less than the best network, "
        f"top-5: {interval(figure4.best_gain(found, 5), 100)}",
    }


def claims_table(found: Evaluation) -> str:
    """One row a claim."""
    told, judged = ours(found), figure4.verdicts(found)
    rows = [[claim, SAID[claim], told[claim], RULES[claim], judged[claim]] for claim in figure4.CLAIMS]
    return grid(["claim", "the paper says", "ours", "holds if", "verdict"], rows)


def figure_table(found: Evaluation, where: str) -> str:
    """Figure 4: the paper's rows, each with ours where there is one."""

    def alone(crops: int) -> list[str]:
        return [_errors(found.each_wrong(crops, top).mean(1)) for top in (1, 5)]

    def together(crops: int) -> list[str]:
        return [interval(over_images(found.all_wrong(crops, top=top)), 100) for top in (1, 5)]

    ours = {
        "BN-Inception single crop": alone(1),
        "BN-Inception multicrop": alone(MOST),
        "BN-Inception ensemble": together(MOST),
    }
    head = ["model", "resolution", "crops", "networks"]
    head += [f"{paper}: top-{top} error, %" for paper in ("paper (ImageNet)", f"ours ({where})") for top in (1, 5)]
    return grid(head, [[*row, *ours.get(row[0], ["", ""])] for row in PAPER])


def networks_table(found: Evaluation, members: list[Record]) -> str:
    """Each network: what was changed, and its errors."""
    rows = []
    for k, member in enumerate(members, 1):
        config = member.config
        changes = [
            f"initial weights x {config['init']['conv_gain']:g}" if config["init"]["conv_gain"] != 1 else "",
            f"dropout {config['model']['dropout']:.0%}" if config["model"]["dropout"] else "",
            "per-activation BN in 5b" if config["norm"]["last"] else "",
        ]
        errors = [
            f"{100 * found.wrong(crops, (k,), top=top).mean():.2f}" for crops in found.info["crops"] for top in (1, 5)
        ]
        rows.append([f"{k}", str(member.seed), ", ".join(filter(None, changes)), *errors])
    means = [_errors(found.each_wrong(crops, top).mean(1)) for crops in found.info["crops"] for top in (1, 5)]
    rows.append(["mean ± sd", "", "", *means])
    columns = [f"{crops} crop{'s' * (crops > 1)}: top-{top}" for crops in found.info["crops"] for top in (1, 5)]
    return grid(["network", "seed", "changes to BN-x30", *columns], rows)


def methods_table(found: Evaluation) -> str:
    """All networks together, in three ways."""
    rows = []
    for crops in found.info["crops"]:
        mean = {top: found.all_wrong(crops, top=top) for top in (1, 5)}
        for method in ("mean", "logits", "vote"):
            wrong = {top: found.all_wrong(crops, method, top) for top in (1, 5)}
            against = [] if method == "mean" else [over_images(wrong[1] - mean[1]), mcnemar(wrong[1], mean[1])]
            rows.append(
                [
                    str(crops),
                    {"mean": "mean of probabilities", "logits": "mean of logits", "vote": "majority vote"}[method],
                    *(interval(over_images(wrong[top]), 100) for top in (1, 5)),
                    interval(against[0], 100, 2, "+") if against else "",
                    f"{against[1]:.3f}" if against else "",
                ]
            )
    head = ["crops", "together by", "top-1 error, %", "top-5 error, %", "top-1 minus the mean's, points", "McNemar's p"]
    return grid(head, rows)


def sizes_table(found: Evaluation) -> str:
    """Error by the number of networks."""
    rows = []
    for crops in found.info["crops"]:
        for top in (1, 5):
            sizes = 100 * figure4.by_size(found, crops, top=top)
            cells = [
                f"{mean:.2f}" + (f" ({low:.2f} to {high:.2f})" if low < high else "")
                for mean, low, high in sizes[["mean", "min", "max"]].itertuples(index=False)
            ]
            rows.append([str(crops), str(top), *cells])
    return grid(["crops", "top", *(f"{k}" for k in range(1, found.count + 1))], rows)


def calibration_table(found: Evaluation) -> str:
    """The expected calibration error of one network and of all."""
    rows = []
    everyone = "+".join(str(k + 1) for k in range(found.count))
    for crops in found.info["crops"]:
        alone = [100 * found.info["calibration"][f"{crops} mean {k + 1}"]["ece"] for k in range(found.count)]
        rows.append([str(crops), _errors([value / 100 for value in alone])])
        rows[-1].append(f"{100 * found.info['calibration'][f'{crops} mean {everyone}']['ece']:.2f}")
    return grid(["crops", "one network, ECE in % (mean ± sd)", f"all {found.count} together"], rows)


def table(found: Evaluation, members: list[Record]) -> str:
    """The whole of table.md."""
    where = dataset.title(members[0])
    pixels = found.info["pixels"]
    steps = f"{members[0].status['steps']:,} steps, T/4, as BN-x30 in the paper's reading of Figure 2"
    intro = f"""Six networks, each BN-x30 with some of the three changes that Sec. 4.2.3 names; which network has which,
    the paper does not say: the assignment is ours. {where}; {steps}; judged on {found.images:,} validation images that
    nothing was chosen on, with the population statistics of Alg. 2. Columns headed *paper (ImageNet)* are what the
    paper prints: another experiment, of which only order and gains can be set beside ours."""
    spread = f"""± is the standard deviation over the {found.count} networks; brackets are 95 % percentile bootstrap
    intervals over images, which say how other images would have come out, not other networks: there is one
    ensemble."""
    crops = f"""Crops: 1, the centre, 0.875 of the shorter side; 10, corners and centre of it and their mirror images;
    144 as GoogLeNet: four scales (8/7 to 11/7 of the network's {pixels} px), three squares, six crops, mirror images.
    Of a square image the three squares are one, computed once."""
    misprint = """A test error of 3.8 %, which a note on the paper gives, is in no version of it: it is a misprint for
    4.82 %."""
    vote = """The paper takes the mean of probabilities. Ties of the vote go by the mean probability. McNemar's exact
    test asks whether a way errs as often as the mean on the same images."""
    return "\n".join(
        [
            "# Figure 4: crops and an ensemble, measured\n",
            paragraph(intro),
            "",
            paragraph(spread + " " + crops),
            "",
            claims_table(found),
            "## Figure 4\n",
            figure_table(found, where),
            paragraph(misprint),
            "",
            "## The six networks\n",
            "Errors in %, of each network alone.\n",
            networks_table(found, members),
            "## All together, in three ways\n",
            paragraph(vote),
            "",
            methods_table(found),
            "## How many networks\n",
            "Error in % of the mean of probabilities: mean (range) over all choices of so many networks.\n",
            sizes_table(found),
            "## Calibration\n",
            "Expected calibration error, 15 bins of equal width, of the mean of probabilities.\n",
            calibration_table(found),
        ]
    )
