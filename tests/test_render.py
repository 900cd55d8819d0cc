"""Tables as Markdown, and figures as the registry reports them."""

from matplotlib.figure import Figure as Drawing

from bnrepro.analysis.figures.figure import Figure
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Page, Table
from fake_records import write_run


def test_a_table_in_markdown():
    rows = [["a", "holds"], ["", "1"]]
    full = "### title\n\ntext\n\n|  | ours |\n| --- | --- |\n| a | holds |\n|  | 1 |\n\nmore\n"
    assert str(Table(["", "ours"], rows, "title", "text", "more")) == full
    assert Table.of([{"": "a", "ours": "1"}]).grid() == "|  | ours |\n| --- | --- |\n| a | 1 |"
    page = Page("all", "above", [Table(["x"], [["1"]]), Table(["y"], [["2"]], "second")])
    assert str(page) == "# all\n\nabove\n\n| x |\n| --- |\n| 1 |\n\n## second\n\n| y |\n| --- |\n| 2 |\n"


def test_prose_leaves_out_what_is_not_so():
    def text(seeds: list[int]) -> str:
        return " ".join(prose("tuning", "figure2", seeds=seeds, steps="9", images="8", data="MNIST").split())

    assert "with one seed per cell. It is measured on 8" in text([1]) and "A ~" not in text([1])
    assert "over 2 seeds. It" in text([1, 2]) and "apart. A cell without ± has one seed" in text([1, 2])
    assert "compete. A network" in text([1, 2])
    assert "A cell without ±" not in text([2])
    assert prose("tuning", "no such heading") == ""


def test_a_figure_of_one_module_and_one_entry_is_reported(tmp_path):
    def draw(arms: dict) -> dict[str, Drawing]:
        drawing = Drawing()
        drawing.subplots().plot(arms["mine"][0].metrics["val/top1"])
        return {"figure": drawing}

    def page(arms: dict) -> Page:
        return Page(
            "Mine", "Above.", [Table(["variant", "n"], [[name, str(len(runs))] for name, runs in arms.items()])]
        )

    figure = Figure("mine", "Mine", draw, page, required_variants=("mine",), files=("extra.json",))
    assert figure.missing(tmp_path) == ["mine"]
    write_run(figure.home(tmp_path) / "runs", "mine", 0, [0.1, 0.2])
    assert figure.missing(tmp_path) == ["extra.json"]
    paths = figure.report(tmp_path / "out", None, None, tmp_path)
    assert [path.name for path in paths] == ["figure.png", "figure.svg", "table.md"]
    assert "| mine | 1 |" in paths[-1].read_text()
