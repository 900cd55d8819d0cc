"""Read the files of claims, ``configs/claims/*.yaml``, and check them.

docs/add-a-claim.md explains their keys. A mistake in a file is a `UserError` of one line, which names the place.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from bnrepro.analysis.claims.measures import ACROSS, MEASURES
from bnrepro.analysis.claims.rules import BOUNDS, UNITS, VERDICTS, Claim, Experiment, Part, Rule
from bnrepro.config.schema import Config
from bnrepro.errors import UserError, suggest

EXPERIMENTS = "experiments"  # the file that says where the records of each experiment are
ID = re.compile(r"([CS])(\d+)")  # C: a claim of the paper; S: a reader's note on it
SCALE = "mini"  # of the claims' own experiments
COMPARED = ("ratio", "difference", "value")
SIGNS = {" / ": "ratio", " - ": "difference"}
STANCES = ("supports", "contradicts", "mixed", "none")
SETTLED = ("parts", "all_of", "text")  # a claim is judged by one of these
CLAIM = (  # the keys that a claim needs, and those that it may have
    ("place", "claim", "measurement", "literature"),
    (*SETTLED, "paper", "seeds", "untested", "test"),
)
PARTS = {  # the keys that each kind of part needs, and those that it may have
    "experiment": (
        ("what", "experiment", "arms", "measure", "compare", "is", "unit"),
        ("reading", "check", "seeds", "first_seed", *BOUNDS),
    ),
    "number": (("what", "number"), ("reading", "check", "is", "unit", *BOUNDS)),
    "report": (("report",), ()),
}
CONFIGURED = [
    f"{section}.{key}" for section, values in asdict(Config()).items() if isinstance(values, dict) for key in values
]


def _check_keys(raw: Any, needed: Iterable[str], allowed: Iterable[str], where: str) -> None:
    """Refuse anything but a mapping with all needed keys, and with no key that is neither needed nor allowed."""
    if not isinstance(raw, dict):
        raise UserError(f"{where}: {raw!r} is not a mapping of keys to values")
    known = [*needed, *allowed]
    if unknown := [key for key in raw if key not in known]:
        raise UserError(f"{where}: unknown key {unknown[0]}; {suggest(str(unknown[0]), known)}")
    if missing := [key for key in needed if raw.get(key) is None]:
        raise UserError(f"{where}: no {missing[0]}")


def _one_of(word: Any, known: Iterable[str], key: str, where: str) -> str:
    if word not in (known := list(known)):
        raise UserError(f"{where}: {key}: {word} is not one of {', '.join(known)}")
    return word


def _check_measure(measure: Any, where: str) -> None:
    """Refuse a measure of unknown kind, or without the keys that its kind needs."""
    known = {name: entry.keys for name, entry in MEASURES.items()} | ACROSS
    kinds = [key for key in measure if key in known] if isinstance(measure, dict) else []
    if len(kinds) != 1:
        given = ", ".join(measure) if isinstance(measure, dict) else repr(measure)
        raise UserError(f"{where}: a measure is one of {', '.join(known)}; it says {given}")
    (kind,) = kinds
    _check_keys(measure, (kind, *known[kind]), (), where)
    if kind in ACROSS:
        keys = measure[kind] if isinstance(measure[kind], list) else [measure[kind]]
        _check_keys(dict.fromkeys(keys), (), CONFIGURED, where)
        _check_measure(measure["of"], where)
    if kind == "best" and (shared := sorted({*measure["choose_on"]} & {*measure["test_on"]})):
        raise UserError(f"{where}: seed {shared[0]} is in choose_on and in test_on; choose on other seeds")


def _rule(raw: dict[str, Any], ratio: bool, where: str) -> Rule:
    given = [bound for bound in BOUNDS if raw.get(bound) is not None]
    if len(given) != 1:
        raise UserError(f"{where}: a part needs one of {', '.join(BOUNDS)}; it has {', '.join(given) or 'none'}")
    (bound,) = given
    count = 2 if bound == "between" else 1
    least = -math.inf if not ratio else 1 if bound == "within" else 0
    try:
        edges = [float(edge) for edge in (raw[bound] if count == 2 else [raw[bound]])]
    except (TypeError, ValueError):
        edges = []
    if len(edges) != count or edges != sorted(set(edges)) or edges[0] <= least:
        needs = "two numbers, the lower first" if count == 2 else "a number"
        needs += f" above {least}, because it is an edge of a ratio" if ratio else ""
        raise UserError(f"{where}: {bound}: {raw[bound]} is not {needs}")
    return Rule(bound, edges if count == 2 else edges[0], ratio)


def _check_statistic(part: Part, where: str) -> None:
    """Refuse a part over seeds whose keys contradict each other."""
    is_sum = isinstance(part.compare, dict)
    compared = "difference" if is_sum else next((SIGNS[sign] for sign in SIGNS if sign in part.compare), part.kind)
    if compared != part.kind:
        raise UserError(f"{where}: compare: {part.compare} is a {compared}, and the part says that it is a {part.kind}")
    if part.rule.bound == "equals":
        raise UserError(f"{where}: equals is for exact numbers; no interval over seeds shows it: use within")
    _check_measure(part.measure, where)
    for settings in part.arms.values():
        _check_keys(settings, (), CONFIGURED, where)
    if not isinstance(part.seeds, int) or part.seeds < 2:
        raise UserError(f"{where}: seeds: {part.seeds} is not a number of seeds; a statistic needs two at least")
    if unknown := sorted(set(part.weights) - set(part.arms)):
        raise UserError(f"{where}: compare names {unknown[0]}, which is no arm; they are {', '.join(part.arms)}")


def _part(raw: Any, seeds: Any, where: str) -> Part:
    kinds = [key for key in PARTS if isinstance(raw, dict) and key in raw]
    if len(kinds) != 1:
        raise UserError(f"{where}: a part needs one of number, report and experiment")
    _check_keys(raw, *PARTS[kinds[0]], where)
    if kinds[0] == "report":
        return Part(report=raw["report"])
    kind = _one_of(raw.get("is", "value"), COMPARED, "is", where)
    unit = _one_of(raw.get("unit", "number"), UNITS, "unit", where)
    if (kind == "ratio") != (unit == "times"):
        raise UserError(f"{where}: the unit of a ratio, and of nothing else, is times; this {kind} has {unit}")
    settings = {key: given for key, given in raw.items() if key not in (*BOUNDS, "is", "unit", "seeds")}
    needed = raw.get("seeds", seeds) if kinds[0] == "experiment" else 0
    part = Part(**settings, rule=_rule(raw, kind == "ratio", where), kind=kind, unit=unit, seeds=needed)
    if kinds[0] == "experiment":
        _check_statistic(part, where)
    return part


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def _claim(path: Path) -> Claim:
    raw, where = _read(path), str(path)
    _check_keys(raw, *CLAIM, where)
    if sum(key in raw for key in SETTLED) != 1:
        raise UserError(f"{where}: a claim needs one of parts, all_of and text")
    parts = [_part(part, raw.get("seeds"), where) for part in raw.get("parts", [])]
    test = raw.get("test", {})
    _check_keys(test, (), ("fair", "weak"), f"{where}: test")
    if len(test) > 1 or (not test and any(part.experiment or part.report for part in parts)):
        raise UserError(f"{where}: a claim that is measured in runs needs a test: fair or weak, and why")
    _check_keys(raw["literature"], ("stance", "says"), (), f"{where}: literature")
    _one_of(raw["literature"]["stance"], STANCES, "stance", where)
    if "text" in raw:
        _one_of(raw["text"], VERDICTS, "text", where)
    prose = {key: " ".join(raw[key].split()) for key in ("claim", "measurement")}
    test = {how: " ".join(why.split()) for how, why in test.items()}
    settings = {key: given for key, given in raw.items() if key != "seeds"}
    return Claim(id=path.stem, **settings | prose | {"parts": parts, "test": test})


def load_claims(folder: Path) -> dict[str, Claim]:
    """Return all claims by id, one from each file of the folder: the paper's first, by number."""
    paths = {path.stem: path for path in folder.glob("*.yaml") if path.stem != EXPERIMENTS}
    if wrong := sorted(name for name in paths if not ID.fullmatch(name)):
        raise UserError(f"{paths[wrong[0]]}: a claim's file is named C or S and a number, as S11.yaml")
    if not paths:
        raise UserError(f"no claim in {folder}; there is one file each, as C01.yaml")
    in_order = sorted(paths, key=lambda name: (name[0], int(name[1:])))
    claims = {name: _claim(paths[name]) for name in in_order}
    for claim in claims.values():
        if unknown := [name for name in claim.all_of if name not in claims]:
            raise UserError(f"{paths[claim.id]}: all_of names {unknown[0]}; {suggest(unknown[0], claims)}")
    return claims


def load_experiments(folder: Path, scale: str = SCALE) -> dict[str, Experiment]:
    """Return all experiments by name; the claims' own have their records at this scale."""
    path = folder / f"{EXPERIMENTS}.yaml"
    experiments = {}
    for name, entry in _read(path).items():
        where = f"{path}: {name}"
        _check_keys(entry, ("records", "base"), ("usual", "command"), where)
        _check_keys(entry["base"] | entry.get("usual", {}), (), CONFIGURED, where)
        home = re.sub(f"/{SCALE}$", f"/{scale}", entry["records"])
        experiments[name] = Experiment(**entry | {"name": name, "records": home})
    return experiments
