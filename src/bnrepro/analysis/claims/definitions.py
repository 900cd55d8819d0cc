"""What is claimed, how it is measured and by which rule it is judged: ``configs/claims/*.yaml``, checked.

A claim's file says where it stands, what it says in our words, the paper's number if there is one, how it is measured,
and in ``parts`` what has to hold. A part is one of three: a ``number`` of the exact identities, a verdict of another
``report``, or a statistic over the seeds of arms of an ``experiment``. Such a statistic says what it ``is``, a ratio
(whose logarithms are averaged), a difference or a value, and of which ``unit``. Parts of one ``reading`` must hold
together; a claim with several readings is judged in each. Instead of parts a claim may follow from others (``all_of``)
or from reading alone (``text``). The claims are the files that there are.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from bnrepro.analysis.claims.rules import STANCES, UNITS, VERDICTS, Claim, Experiment, Part, Rule
from bnrepro.analysis.claims.schema import (
    BOUNDS,
    CLAIM,
    COMPARED,
    PARTS,
    SETTLED,
    TESTS,
    check_keys,
    check_measure,
    check_settings,
)
from bnrepro.errors import UserError, suggest

EXPERIMENTS = "experiments"  # the file that says where the records of each experiment are
ID = re.compile(r"([CS])(\d+)")  # of a claim: C is the paper's, S a note's on it
SCALE = "mini"  # of the claims' own experiments
SIGNS = {" / ": "ratio", " - ": "difference"}


def _one_of(word: Any, known: tuple[str, ...], key: str, where: str) -> str:
    if word not in known:
        raise UserError(f"{where}: {key}: {word} is not one of {', '.join(known)}")
    return word


def _seeds(value: Any, where: str) -> int:
    if not isinstance(value, int) or value < 2:
        raise UserError(f"{where}: seeds: {value} is not a number of seeds; a statistic needs two at least")
    return value


def _rule(raw: dict[str, Any], ratio: bool, where: str) -> Rule:
    given = [bound for bound in BOUNDS if raw.get(bound) is not None]
    if len(given) != 1:
        raise UserError(f"{where}: a part needs one of {', '.join(BOUNDS)}; it has {', '.join(given) or 'none'}")
    bound, value = given[0], raw[given[0]]
    try:
        edges = [float(edge) for edge in (value if bound == "between" else [value])]
        ordered = bound != "between" or (edges[0] < edges[1] and len(edges) == 2)
    except (TypeError, ValueError, IndexError):
        ordered = False
    if not ordered:
        needs = "two numbers, the lower first" if bound == "between" else "a number"
        raise UserError(f"{where}: {bound}: {value} is not {needs}")
    if ratio and min(edges) <= (1 if bound == "within" else 0):
        needs = "a factor above 1" if bound == "within" else "above 0"
        raise UserError(f"{where}: {bound}: {value} is no edge of a ratio, which needs to be {needs}")
    return Rule(bound, edges if bound == "between" else edges[0], ratio)


def _quantity(raw: dict[str, Any], where: str) -> dict[str, str]:
    """What a part compares with its edge, and in which unit; an exact number need not say."""
    kind = _one_of(raw.get("is", "value"), COMPARED, "is", where)
    unit = _one_of(raw.get("unit", "number"), tuple(UNITS), "unit", where)
    if (kind == "ratio") != (unit == "times"):
        raise UserError(f"{where}: the unit of a ratio, and of nothing else, is times; this {kind} has {unit}")
    return {"kind": kind, "unit": unit}


def _statistic(raw: dict[str, Any], kind: str, seeds: Any, where: str) -> dict[str, Any]:
    """The fields of a part that is measured over seeds, checked."""
    compare = raw["compare"]
    signs = {} if isinstance(compare, dict) else {sign: name for sign, name in SIGNS.items() if sign in compare}
    compared = "difference" if isinstance(compare, dict) else next(iter(signs.values()), kind)
    if compared != kind:
        raise UserError(f"{where}: compare: {compare} is a {compared}, and the part says that it is a {kind}")
    if raw.get("equals") is not None:
        raise UserError(f"{where}: equals is for exact numbers; no interval over seeds shows it: use within")
    check_measure(raw["measure"], where)
    for settings in raw["arms"].values():
        check_settings(settings, where)
    return {name: raw[name] for name in ("experiment", "arms", "measure", "compare")} | {"seeds": _seeds(seeds, where)}


def _part(raw: dict[str, Any], seeds: Any, where: str) -> Part:
    kinds = [key for key in PARTS if isinstance(raw, dict) and key in raw]
    if len(kinds) != 1:
        raise UserError(f"{where}: a part needs one of number, report and experiment")
    check_keys(raw, *PARTS[kinds[0]], where)
    if kinds[0] == "report":
        return Part("", "", None, report=raw["report"])
    quantity = _quantity(raw, where)
    part = Part(
        what=raw["what"],
        reading=raw.get("reading", ""),
        rule=_rule(raw, quantity["kind"] == "ratio", where),
        number=raw.get("number"),
        check=raw.get("check", False),
        **quantity,
        **(_statistic(raw, quantity["kind"], raw.get("seeds", seeds), where) if kinds[0] == "experiment" else {}),
    )
    if part.experiment and (strangers := sorted(set(part.weights) - set(part.arms))):
        raise UserError(f"{where}: compare names {strangers[0]}, which is no arm; they are {', '.join(part.arms)}")
    return part


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _claim(path: Path) -> Claim:
    raw, where = _read(path), str(path)
    needed = ("place", "claim", "measurement", "literature")
    check_keys(raw, needed, [key for key in CLAIM if key not in needed], where)
    if sum(key in raw for key in SETTLED) != 1:
        raise UserError(f"{where}: a claim needs one of parts, all_of and text")
    parts = [_part(part, raw.get("seeds"), where) for part in raw.get("parts", [])]
    test = raw.get("test", {})
    check_keys(test, (), TESTS, f"{where}: test")
    if len(test) > 1 or (not test and any(part.experiment or part.report for part in parts)):
        raise UserError(f"{where}: a claim that is measured in runs needs a test: fair or weak, and why")
    literature = raw["literature"]
    check_keys(literature, ("stance", "says"), (), f"{where}: literature")
    return Claim(
        id=path.stem,
        place=raw["place"],
        claim=" ".join(raw["claim"].split()),
        measurement=" ".join(raw["measurement"].split()),
        paper=raw.get("paper"),
        parts=parts,
        all_of=raw.get("all_of", []),
        text=_one_of(raw["text"], VERDICTS, "text", where) if "text" in raw else None,
        untested=raw.get("untested"),
        stance=_one_of(literature["stance"], STANCES, "stance", where),
        says=literature["says"],
        test=next(iter(test), ""),
        why=" ".join(next(iter(test.values()), "").split()),
    )


def load_claims(folder: Path) -> dict[str, Claim]:
    """All claims by id: those whose files are in the folder, the paper's first, by number.

    Raises:
        UserError: there is none, or a file says something that is not understood.
    """
    paths = {path.stem: path for path in folder.glob("*.yaml") if path.stem != EXPERIMENTS}
    if wrong := sorted(name for name in paths if not ID.fullmatch(name)):
        raise UserError(f"{paths[wrong[0]]}: a claim's file is named C or S and a number, as S11.yaml")
    if not paths:
        raise UserError(f"no claim in {folder}; there is one file each, as C01.yaml")
    claims = {name: _claim(paths[name]) for name in sorted(paths, key=_order)}
    for claim in claims.values():
        if strangers := [name for name in claim.all_of if name not in claims]:
            raise UserError(f"{paths[claim.id]}: all_of names {strangers[0]}; {suggest(strangers[0], claims)}")
    return claims


def _order(name: str) -> tuple[str, int]:
    letter, number = ID.fullmatch(name).groups()
    return letter, int(number)


def load_experiments(folder: Path, scale: str = SCALE) -> dict[str, Experiment]:
    """Where the records of each experiment are; those of the claims' own at this scale.

    Raises:
        UserError: the file says something that is not understood.
    """
    path = folder / f"{EXPERIMENTS}.yaml"
    raw, own = _read(path), f"/{SCALE}"
    for name, entry in raw.items():
        where = f"{path}: {name}"
        check_keys(entry, ("records", "base"), ("usual", "command"), where)
        check_settings(entry["base"] | entry.get("usual", {}), where)
        if entry["records"].endswith(own):
            entry["records"] = entry["records"].removesuffix(own) + f"/{scale}"
    return {name: Experiment(name, **entry) for name, entry in raw.items()}
