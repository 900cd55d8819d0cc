"""The ledger to read: a table of all claims, and a section each with what was measured."""

from collections.abc import Iterable

from bnrepro.analysis.claims.ledger import Row
from bnrepro.analysis.claims.rules import UNITS, VERDICTS
from bnrepro.analysis.render.text import grid, paragraph

PLOTS = "claims/plots"
INTRO = """Every claim of the paper (C) and of a reader's note on it (S), and whether it is true here. Each was given a
rule before its records were made, but where it reads records of Figures 1 to 4 or says otherwise: a statistic
over seeds, paired by seed where arms are compared, and the edge that its whole 95 % interval has to be beyond. A
statistic *holds* or *fails* if its interval and its adjusted p-value say so; else it is *inconclusive*. p-values
are two-sided, against the edge, and adjusted in two families: the endpoints of Figures 2 to 4 by Holm, so
that the chance of any false one is at most 5 %, and all other statistics over seeds together by Benjamini and
Hochberg, so that at most 5 % of what is found is expected to be false. What has no p-value, as a count of runs or a
time that is censored, is in no adjustment, and its row says so. A figure's own table gives its verdicts before the
adjustment. A claim is *contested* if readings of it contradict each other, or the literature what holds here. Exact
claims are identities, checked in float64 against a tolerance, which was set when the program had been seen to run; a
ratio of times is judged by its interval over repetitions on one machine, and is in no adjustment either. Scale `mini`
is 20 classes of Tiny-ImageNet at 32 px, a quarter of the width and 700 steps, or 5,000 steps of the MNIST network; a
number at one scale never stands for one at another."""
MARKS = {"holds": "●", "fails": "○", "inconclusive": "◐", "contested": "◑", "untested": "·"}


def figure(value: float) -> str:
    """Three significant digits, without an exponent where there need not be one."""
    text = f"{value:.3g}"
    return f"{value:,.0f}" if "e+" in text and abs(value) < 1e7 else text


def number(part: Row) -> str:
    """A part's value, with its interval if it has one, in its unit."""
    if part["family"] == "reported":
        return part["what"]
    if part["value"] is None:
        return "no finite mean" if part["n"] else ""
    times, unit = UNITS[part["unit"]]
    sign = "+" if unit and part["is"] == "difference" else ""
    shown = [times * v for v in (part["value"], *(part.get("interval") or [])) if v is not None]
    texts = [f"{v:{sign}.2f}" if unit else figure(v) for v in shown]
    return texts[0] + (f" [{texts[1]}, {texts[2]}]" if len(texts) == 3 else "") + unit


def decisive(row: Row) -> list[Row]:
    """The parts that say most: one that does as the claim's verdict, or one for and one against if both are there."""
    parts = [part for part in row["ours"] if not part.get("check")]
    found = {verdict: next((part for part in parts if part["verdict"] == verdict), None) for verdict in VERDICTS}
    if row["verdict"] == "contested" and found["holds"] and found["fails"]:
        return [found["holds"], found["fails"]]
    return [found[row["verdict"]] or parts[0]] if parts else []


def ours(row: Row) -> str:
    """What was measured, in a line."""
    if not (parts := decisive(row)):
        return "follows from " + " and ".join(row["follows_from"]) if row["follows_from"] else row["measurement"]
    told = []
    for part in parts:
        reading = f"{part['reading']}: " if part["reading"] and len(parts) > 1 else ""
        measured = "" if part["family"] == "reported" else f": {number(part) or 'not measured'}"
        told.append(f"{reading}{part['what']}{measured}")
    return "; ".join(told)


def counts(rows: Iterable[Row]) -> dict[str, list[str]]:
    """The claims' ids by verdict; verdicts that no claim has are left out."""
    found = {verdict: [row["id"] for row in rows if row["verdict"] == verdict] for verdict in VERDICTS}
    return {verdict: ids for verdict, ids in found.items() if ids}


def summary(rows: list[Row], page: str) -> str:
    """Verdicts and their claims, with links into a page of sections: the README's table."""
    lines = [
        [f"{MARKS[verdict]} {verdict}", str(len(ids)), " ".join(f"[{name}]({page}#{name.lower()})" for name in ids)]
        for verdict, ids in counts(rows).items()
    ]
    return grid(["verdict", "claims", ""], lines)


BEGIN, END = "<!-- claims: written by scripts/report.py claims -->", "<!-- end of claims -->"


def within(readme: str, rows: list[Row]) -> str:
    """A README with its summary of the ledger brought up to date; as it is if it has no place for one."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return readme
    return f"{before}{BEGIN}\n{summary(rows, 'results/claims.md')}{END}{after}"


def _links(row: Row) -> str:
    found = [f"[rule](../{row['rule']})"]
    found += [f"[runs](../{folder}/runs)" for folder in row["records"]]
    if plotted(row):
        found.append(f"[plot]({PLOTS}/{row['id']}.png)")
    if any(part["family"] == "reported" for part in row["ours"]):
        found += [f"[plot](../{folder}/figure.png)" for folder in row["records"]]
    if any(part["family"] in ("exact", "timed") for part in row["ours"]):
        found.append("[numbers](claims/identities.json)")
    return " ".join(found)


def plotted(row: Row) -> bool:
    """Whether a claim has a plot of its own: one with measured or exact parts."""
    return any(part["value"] is not None for part in row["ours"])


HEAD = ["claim", "it says", "paper", "ours", "n", "verdict"]


def cells(row: Row) -> list[str]:
    """A claim in a line, below `HEAD`."""
    n = str(row["n"]) if row["n"] > 1 else ""
    return [row["id"], row["claim"], row["paper"] or "", ours(row), n, f"{MARKS[row['verdict']]} {row['verdict']}"]


def overview(rows: list[Row]) -> str:
    """One line a claim."""
    lines = [[f"[{row['id']}](#{row['id'].lower()})", *cells(row)[1:], _links(row)] for row in rows]
    return grid([*HEAD, ""], lines)


def _adjusted(part: Row) -> str:
    """The adjusted p-value of a part, or of each endpoint of a figure's reading, or why there is none."""
    if part["family"] != "reported":
        return f"{part['q']:.2g}" if part.get("q") is not None else ""
    several = len(part["endpoints"]) > 1
    return "; ".join(
        (f"{one['what']}: " if several else "") + (f"{one['q']:.2g}" if one["q"] is not None else one["note"])
        for one in part["endpoints"]
    )


def _said(part: Row) -> str:
    """A part's verdict, and what else there is to say of it."""
    said = part["verdict"]
    if "n_to_decide" in part and part["n"] > 1:
        said += f"; {part['n_to_decide'] or 'more than 1,000'} seeds would decide"
    notes = [part["note"]] if part.get("note") else []
    notes += [f"{one['what']}: {one['note']}" for one in part.get("endpoints", []) if one["note"] and one["q"]]
    return said + (f" ({'; '.join(notes)})" if notes else "")


def parts(row: Row) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the table of what was measured for a claim."""
    readings = any(part["reading"] for part in row["ours"])
    lines = []
    for part in row["ours"]:
        what = "" if part["family"] == "reported" else part["what"] + (" (check)" if part.get("check") else "")
        n = str(part["n"]) if part["n"] > 1 else ""
        cells = [what, number(part) or "not measured", part["rule"], n, _adjusted(part), _said(part)]
        lines.append([part["reading"], *cells] if readings else cells)
    head = ["measured", "ours", "holds if", "n", "adjusted p", "verdict"]
    return ["reading", *head] if readings else head, lines


MANY = 6  # parts, beyond which `told` gives one of each reading


def _telling(row: Row, reading: str, verdict: str) -> Row:
    """The part that says most of a reading: one that does as its verdict, else a check that does not hold, else any."""
    parts = [part for part in row["ours"] if part["reading"] == reading]
    claimed = [part for part in parts if not part.get("check")]
    failed = [part for part in parts if part.get("check") and part["verdict"] != "holds"]
    return next((part for part in claimed if part["verdict"] == verdict), (failed or claimed)[0])


def told(row: Row) -> str:
    """A claim's verdict and what it follows from, to stand in prose: a line a part, or a reading if parts are many."""
    lines = [f"**{MARKS[row['verdict']]} {row['id']}: {row['verdict']}.** {row['claim']}", ""]
    parts = row["ours"]
    if len(parts) > MANY:
        parts = [_telling(row, reading, verdict) for reading, verdict in row["readings"].items()]
    for part in parts:
        reading = f"*{part['reading']}*: " if part["reading"] else ""
        check = " (check)" if part.get("check") else ""
        n = f", n = {part['n']}" if part["n"] > 1 else ""
        ours = number(part)
        found = f"{ours}{n}; holds if {part['rule']}: **{part['verdict']}**" if ours else "not measured yet"
        lines.append(f"- {reading}{part['what']}{check}: {found}")
    return "\n".join(lines) + "\n"


def section(row: Row) -> str:
    """Everything about one claim."""
    readings = [f"{name}: {verdict}" for name, verdict in row["readings"].items() if name]
    told = f"**{MARKS[row['verdict']]} {row['verdict']}**" + (f" ({'; '.join(readings)})" if readings else "")
    lines = [f"### {row['id']}\n", paragraph(row["claim"]), "", f"{told} · {row['place']} · {_links(row)}", ""]
    if row["paper"]:
        lines += [paragraph(f"The paper prints: {row['paper']}."), ""]
    lines += [paragraph(f"Measured: {row['measurement']}"), ""]
    if row["ours"]:
        lines.append(grid(*parts(row)))
    if row["follows_from"]:
        links = " and ".join(f"[{name}](#{name.lower()})" for name in row["follows_from"])
        lines += [f"Follows from {links}.", ""]
    if row["untested"]:
        lines += [paragraph(f"Untested: {row['untested']}"), ""]
    if row["literature"]["says"]:
        lines += [paragraph(f"Later: {row['literature']['says']}"), ""]
    if row["commands"]:
        lines += ["```sh", *row["commands"], "```", ""]
    if plotted(row):
        lines += [f"![{row['id']}: seeds, intervals and the rule's edge]({PLOTS}/{row['id']}.png)", ""]
    return "\n".join(lines)


def page(rows: list[Row]) -> str:
    """The whole of claims.md."""
    parts = ["# The ledger\n", paragraph(INTRO), "", summary(rows, ""), overview(rows), *map(section, rows)]
    return "\n".join(parts)
