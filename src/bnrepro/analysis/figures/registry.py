"""The figures that there are. A new one has a module that says what it needs and how it is shown, and a line here."""

from bnrepro.analysis.figures import figure1_table, figure2_table, figure4_table, ladder, shattered

FIGURES = {
    figure.name: figure
    for figure in (
        figure1_table.FIGURE,
        ladder.FIGURES[0],
        figure2_table.FIGURE,
        ladder.FIGURES[1],
        figure4_table.FIGURE,
        shattered.FIGURE,
    )
}
