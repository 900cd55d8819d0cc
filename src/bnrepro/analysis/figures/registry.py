"""The list of all figures. To add a figure, write a module that describes it, and add it here."""

from bnrepro.analysis.figures import figure1_table, figure2_table, figure4_table, ladder, shattered

FIGURES = {
    figure.name: figure
    for figure in (
        figure1_table.FIGURE,
        ladder.FIGURE1,
        figure2_table.FIGURE,
        ladder.FIGURE2,
        figure4_table.FIGURE,
        shattered.FIGURE,
    )
}
