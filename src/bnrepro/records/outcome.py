"""How a run ended, and the exit code of each ending."""

from dataclasses import dataclass

INTERRUPTED = 130
EXIT_CODES = {"finished": 0, "diverged": 0, "failed": 1, "refused": 2, "locked": 3, "interrupted": INTERRUPTED}


def chance_bound(classes: int, images: int) -> float:
    """Return the accuracy below which a network counts as at chance: chance plus 3 binomial standard deviations.

    Args:
        classes: number of classes, all of equal size.
        images: number of images on which the accuracy is measured.
    """
    chance = 1 / classes
    return chance + 3 * (chance * (1 - chance) / images) ** 0.5


@dataclass(frozen=True)
class Outcome:
    """``state`` is a key of `EXIT_CODES`; ``message`` is the last line that the run prints."""

    name: str
    state: str
    message: str

    @property
    def exit_code(self) -> int:
        """0 if the record is complete, also after a divergence; another code for each reason why it is not."""
        return EXIT_CODES[self.state]


def exit_code_of(outcomes: list[Outcome]) -> int:
    """Return one exit code for several outcomes: that of an interruption, or else that of the gravest one."""
    codes = {outcome.exit_code for outcome in outcomes}
    return INTERRUPTED if INTERRUPTED in codes else next((code for code in (1, 2, 3) if code in codes), 0)
