"""The ledger as text: claims.md with a table of all claims and a section for each, and the summary in the README."""

from collections.abc import Iterable

from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.claims.rules import UNITS, VERDICTS
from bnrepro.analysis.render.prose import prose
from bnrepro.analysis.render.table import Table, paragraph

PLOTS = "claims/plots"
INTRO = prose("claims", "The ledger")
MARKS = {"holds": "●", "fails": "○", "inconclusive": "◐", "contested": "◑", "untested": "·"}
PLURAL = {"holds": "hold", "fails": "fail"}  # the other verdicts are no verbs
HEAD = ["claim", "what it says", "the paper prints", "what we measured", "n", "verdict"]
KINDS = {
    "empirical": "Empirical claims",
    "exact": "Exact claims, which are computed without training",
    "no measurement": "No measurements of their own",
}


def of_kind(rows: Iterable[Row], kind: str) -> list[Row]:
    """Return the claims of one kind, see `Claim.kind`."""
    return [row for row in rows if row["kind"] == kind]


def counts(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Return the claims' ids by verdict; verdicts that no claim has are left out."""
    by_verdict = {verdict: [row["id"] for row in rows if row["verdict"] == verdict] for verdict in VERDICTS}
    return {verdict: ids for verdict, ids in by_verdict.items() if ids}


def plotted(row: Row) -> bool:
    """Tell whether a claim has a plot of its own, which needs a measured or an exact part."""
    return any(part["value"] is not None for part in row["ours"])


def three_digits(value: float) -> str:
    """Return a number with three significant digits, without an exponent up to ten million."""
    text = f"{value:.3g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e7 else text


def value_text(part: Row) -> str:
    """Return the value of a part in its unit, with its interval if it has one."""
    if part["family"] == "reported":
        return part["what"]
    if part["value"] is None:
        return "no finite mean" if part["n"] else ""
    times, unit = UNITS[part["unit"]]
    sign = "+" if unit and part["is"] == "difference" else ""
    values = [times * value for value in (part["value"], *part.get("interval", [])) if value is not None]
    decimals = 3 if part["unit"] == "nats" else 2
    texts = [f"{value:{sign}.{decimals}f}" if unit else three_digits(value) for value in values]
    return texts[0] + (f" [{texts[1]}, {texts[2]}]" if len(texts) == 3 else "") + unit


def deciding_parts(row: Row) -> list[Row]:
    """Return the first part with the claim's verdict; of a contested claim the first that holds, and that fails.

    Parts that are measured over seeds come before those that are exact.
    """
    parts = sorted((part for part in row["ours"] if not part.get("check")), key=lambda part: part["n"] == 1)
    first = {part["verdict"]: part for part in reversed(parts)}
    if row["verdict"] == "contested" and {"holds", "fails"} <= first.keys():
        return [first["holds"], first["fails"]]
    return [first.get(row["verdict"], parts[0])] if parts else []


def measured_text(row: Row) -> str:
    """Return what was measured for a claim, in one line."""
    parts = deciding_parts(row)
    if not parts:
        return "follows from " + " and ".join(row["follows_from"]) if row["follows_from"] else row["measurement"]
    texts = []
    for part in parts:
        reading = f"{part['reading']}: " if part["reading"] and len(parts) > 1 else ""
        measured = "" if part["family"] == "reported" else f": {value_text(part) or 'not measured'}"
        texts.append(f"{reading}{part['what']}{measured}")
    return "; ".join(texts)


def _marked(verdict: str) -> str:
    return f"{MARKS[verdict]} {verdict}"


def _n(row: Row) -> str:
    return str(row["n"]) if row["n"] > 1 else ""


def row_cells(row: Row) -> list[str]:
    """Return a claim as a row of a table with the columns `HEAD`."""
    return [row["id"], row["claim"], row["paper"] or "", measured_text(row), _n(row), _marked(row["verdict"])]


def _adjusted(part: Row) -> str:
    """Return the adjusted p-value of a part, or of each endpoint of a figure, or the reason why there is none."""
    if part["family"] != "reported":
        spread = len({*part.get("interval", [])}) != 1
        return "" if part.get("q") is None else f"{part['q']:.2g}" if spread else "none: no spread"
    points = part["endpoints"]
    texts = [f"{point['q']:.2g}" if point["q"] is not None else point["note"] for point in points]
    if len(points) > 1:
        texts = [f"{point['what']}: {text}" for point, text in zip(points, texts, strict=True)]
    return "; ".join(texts)


def _remarked(part: Row) -> str:
    """Return the verdict of a part, with the notes on it, the number of seeds that would decide it and their cost."""
    verdict = part["verdict"]
    if "n_to_decide" in part and part["n"] > 1:
        verdict += f"; {part['n_to_decide'] or 'more than 1,000'} seeds would decide"
        verdict += f", in {_time(part['minutes_to_decide'])} of one core" if "minutes_to_decide" in part else ""
    notes = [part["note"]] if part.get("note") else []
    points = [point for point in part.get("endpoints", []) if point["note"] and point["q"]]
    notes += [f"{point['what']}: {point['note']}" for point in points]
    return verdict + (f" ({'; '.join(notes)})" if notes else "")


def _time(minutes: int) -> str:
    return f"{minutes / 60:.0f} hours" if minutes >= 90 else f"{max(minutes, 1)} minutes"


def parts(row: Row) -> Table:
    """Tabulate the parts of a claim, one row each."""
    head, lines = ["what was measured", "result", "holds if", "n", "adjusted p", "verdict"], []
    for part in row["ours"]:
        name = "" if part["family"] == "reported" else part["what"] + (" (check)" if part.get("check") else "")
        result = value_text(part) or "not measured"
        lines.append([name, result, part["rule"], _n(part), _adjusted(part), _remarked(part)])
    if any(part["reading"] for part in row["ours"]):
        head = ["reading", *head]
        lines = [[part["reading"], *line] for part, line in zip(row["ours"], lines, strict=True)]
    return Table(head, lines)


def _link(claim: str) -> str:
    return f"[{claim}](#{claim.lower()})"


def _links(row: Row) -> str:
    families = {part["family"] for part in row["ours"]}
    links = [f"[rule](../{row['rule']})", *(f"[runs](../{folder}/runs)" for folder in row["records"])]
    if plotted(row):
        links.append(f"[plot]({PLOTS}/{row['id']}.png)")
    if "reported" in families:
        links += [f"[plot](../{folder}/figure.png)" for folder in row["records"]]
    if families & {"exact", "timed"}:
        links.append("[numbers](claims/identities.json)")
    return " ".join(links)


def summary(rows: list[Row]) -> Table:
    """Tabulate the empirical claims by verdict, with links to their sections, and name the other claims below."""
    lines = [
        [_marked(verdict), str(len(ids)), " ".join(_link(name) for name in ids)]
        for verdict, ids in counts(of_kind(rows, "empirical")).items()
    ]
    notes = [
        f"{title}: {len(others)} ({' '.join(_link(row['id']) for row in others)})."
        for kind, title in KINDS.items()
        if kind != "empirical" and (others := of_kind(rows, kind))
    ]
    return Table(["verdict", "empirical claims", ""], lines, note="  \n".join(notes))


def _overview(rows: list[Row]) -> list[Table]:
    """Tabulate the claims of each kind, with one row per claim."""
    tables = []
    for kind, title in KINDS.items():
        lines = []
        for row in of_kind(rows, kind):
            test = [row["test"]["is"]] if kind == "empirical" else []
            lines.append([_link(row["id"]), *row_cells(row)[1:], *test, _links(row)])
        head = [*HEAD, "test", ""] if kind == "empirical" else [*HEAD, ""]
        tables += [Table(head, lines, title)] if lines else []
    return tables


def _section(row: Row) -> str:
    """Return everything about one claim."""
    readings = [f"{name}: {verdict}" for name, verdict in row["readings"].items() if name]
    verdict = f"**{_marked(row['verdict'])}**" + (f" ({'; '.join(readings)})" if readings else "")
    says = row["literature"]["says"]
    blocks = [
        f"### {row['id']}",
        paragraph(row["claim"]),
        f"{verdict} · {row['place']} · {_links(row)}",
        row["paper"] and paragraph(f"The paper prints: {row['paper']}."),
        paragraph(f"Measured: {row['measurement']}"),
        row["test"] and paragraph(f"A {row['test']['is']} test: {row['test']['why']}"),
        row["ours"] and parts(row).grid(),
        row["follows_from"] and f"Follows from {' and '.join(map(_link, row['follows_from']))}.",
        row["untested"] and paragraph(f"Untested: {row['untested']}"),
        says and paragraph(f"Later work and notes: {says}"),
        row["commands"] and "\n".join(["```sh", *row["commands"], "```"]),
        plotted(row) and f"![{row['id']}: seeds, intervals and the rule's edge]({PLOTS}/{row['id']}.png)",
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def page(rows: list[Row]) -> str:
    """Return the whole of claims.md."""
    tables = [table.markdown(level=2) for table in _overview(rows)]
    return "\n".join(["# The ledger\n", f"{INTRO}\n", str(summary(rows)), *tables, *map(_section, rows)])


BEGIN, END = "<!-- claims: written by scripts/report.py claims -->", "<!-- end of claims -->"


def update_readme(readme: str, rows: list[Row]) -> str:
    """Return a README with its summary of the ledger up to date; it is unchanged if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return readme
    return f"{before}{BEGIN}\n{_sentences(rows)}\n{END}{after}"


def _verb(verdict: str, count: int) -> str:
    if count == 1:
        return verdict if verdict in PLURAL else f"is {verdict}"
    return PLURAL.get(verdict, f"are {verdict}")


def _sentences(rows: list[Row]) -> str:
    """Say how many claims of each kind there are, and how many of the empirical ones have each verdict."""
    kinds = {kind: of_kind(rows, kind) for kind in KINDS}
    verdicts = ", ".join(
        f"**{len(ids)}** {_verb(verdict, len(ids))}" for verdict, ids in counts(kinds["empirical"]).items()
    )
    return (
        f"Of {len(rows)} claims {len(kinds['empirical'])} are empirical: {verdicts}. "
        f"{len(kinds['exact'])} are exact and were computed without training, "
        f"and {len(kinds['no measurement'])} have no measurement of their own."
    )
