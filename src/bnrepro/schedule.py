"""At which steps a run is looked at."""


def milestones(total: int, every: int, log_points_per_decade: int) -> list[int]:
    """Log-spaced steps from 1 below ``every``, its multiples up to ``total``, and ``total``: sorted."""
    early, k = set(), 0
    while (step := round(10 ** (k / log_points_per_decade))) < min(every, total):
        early.add(step)
        k += 1
    return sorted(early | set(range(every, total + 1, every)) | {total})
