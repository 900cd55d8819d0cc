"""Layer by layer: what comes down through a network, and what goes up."""

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bnrepro.analysis.claims import series
from bnrepro.analysis.claims.drawings.painting import arm_line, arm_lines, legend, log_scale, over, panels, title
from bnrepro.analysis.claims.series import FIRST, LAST, Arm


def depth(rows: dict[str, list[Arm]]) -> Figure:
    """C02, C25, S5: a row a network; what comes down to each layer, and what goes up.

    On the left gradients to the inputs of a layer's nonlinearity, over the last layer's, at the first step and after
    training; on the right how far these inputs move, over their norm, with a small step of all weights.
    """
    columns = (
        ("gradient, first step", "over the last layer's", "gradients/input_rms", FIRST),
        ("gradient, trained", "over the last layer's", "gradients/input_rms", LAST),
        ("movement, trained", "over its norm", "amplification/relative", LAST),
    )
    figure, found = panels(len(rows), len(columns), 2.5)
    for line, (name, arms) in zip(found, rows.items(), strict=True):
        for axes, (what, words, quantity, look) in zip(line, columns, strict=True):
            down = quantity.startswith("gradients")

            def values(records, quantity=quantity, look=look, down=down):
                frame = series.by_layer(records, quantity, look)
                return over(frame, -1) if down else frame

            arm_lines(axes, arms, values, "o")
            log_scale(axes)
            if down and axes.lines:
                axes.axhline(1, color="black", lw=0.6, ls=":")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.set_ylabel(words)
            title(axes, f"{name}: {what}")
        legend(line[0])
    for axes in found[-1]:
        axes.set_xlabel("layer")
    return figure


def singular_values(networks: dict[str, list[Arm]]) -> Figure:
    """C25: 10th percentile, median and 90th of the singular values of each layer's Jacobian at the first step."""
    figure, found = panels(1, len(networks), width=8)
    for axes, (name, arms) in zip(found[0], networks.items(), strict=True):
        for arm in arms:
            low, median, high = (
                series.by_layer(arm.records, f"jacobian/{p}", FIRST).mean(axis=1) for p in ("p10", "p50", "p90")
            )
            if arm_line(axes, median.to_frame(), arm, "o"):
                axes.fill_between(low.index, low, high, color=arm.colour, alpha=0.15, lw=0)
        axes.axhline(1, color="black", lw=0.6, ls=":")
        axes.set(xlabel="layer", ylim=(0, None))
        title(axes, name)
    found[0, 0].set_ylabel("singular values")
    legend(found[0, 0], loc="upper right")
    return figure
