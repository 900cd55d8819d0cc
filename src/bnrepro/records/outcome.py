"""How a run ended, and the exit code that says so."""

from dataclasses import dataclass

INTERRUPTED = 130
EXIT_CODES = {"finished": 0, "diverged": 0, "failed": 1, "refused": 2, "locked": 3, "interrupted": INTERRUPTED}


def chance_bound(classes: int, images: int) -> float:
    """The accuracy below which a network counts as at chance: chance and 3 binomial standard deviations.

    Args:
        classes: how many the network tells apart, all of equal size.
        images: how many the accuracy is measured on.
    """
    chance = 1 / classes
    return chance + 3 * (chance * (1 - chance) / images) ** 0.5


@dataclass(frozen=True)
class Outcome:
    """``state`` is a key of `EXIT_CODES`; ``message`` is the one line that the run ends with."""

    name: str
    state: str
    message: str

    @property
    def exit_code(self) -> int:
        """0 for a complete record, whatever it says; else why there is none yet."""
        return EXIT_CODES[self.state]


def worst(outcomes: list[Outcome]) -> int:
    """One exit code for several outcomes: an interruption first, then the gravest."""
    codes = {outcome.exit_code for outcome in outcomes}
    return INTERRUPTED if INTERRUPTED in codes else next((code for code in (1, 2, 3) if code in codes), 0)
