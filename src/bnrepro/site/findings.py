"""What was found, in the words of the README: the page opens with the table of its section of that name."""

import re

from bnrepro.analysis.render.table import ClaimName, Table, Verdict

SECTION = "## What we found"
ROW = re.compile(r"\| \[(\w+)\]\([^)]*\) \| (.*?) \| (.*?) \| (\w+) \|")


def table(readme: str) -> Table:
    """Return the claims of the README's section with what the paper says, what was measured, and the verdicts.

    It has no rows if the README, a text in Markdown, has no such section.
    """
    _, _, rest = readme.partition(SECTION)
    section, _, _ = rest.partition("\n## ")
    rows = [[ClaimName(claim), says, ours, Verdict(verdict)] for claim, says, ours, verdict in ROW.findall(section)]
    return Table(["claim", "the paper says", "we measured", "verdict"], rows)
