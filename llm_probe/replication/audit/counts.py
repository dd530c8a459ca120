"""Shares of right answers: is a share above guessing, do two shares differ, and would fifty questions have shown it.

- above guessing: P(Bin(n, chance) ≥ right), exact, beside the Wilson interval (`toy.maths.intervals.wilson`);
- two shares: Fisher's exact test, two-sided, beside Newcombe's interval of the difference (`intervals.newcombe`);
- power: whether the number of questions could have shown a drop at all.
"""

from __future__ import annotations

import math

Z_95 = 1.959964


def right_of(share: float, questions: int) -> int:
    """The number of right answers behind a share."""
    return round(share * questions)


def above_guessing(right: int, questions: int, chance: float) -> float:
    """P(at least this many right by guessing)."""
    from scipy.stats import binom

    return float(binom.sf(right - 1, questions, chance))


def guessing_quantile(level: float, questions: int, chance: float) -> float:
    """Quantile of the share right by guessing."""
    from scipy.stats import binom

    return float(binom.ppf(level, questions, chance)) / questions


def fisher(first: int, second: int, questions: int) -> float:
    """Two-sided exact p of two counts out of equally many questions."""
    from scipy.stats import fisher_exact

    table = [[first, questions - first], [second, questions - second]]
    return float(fisher_exact(table)[1])  # type: ignore[index]


def paired_power(drop: float, discordance: float, questions: int) -> float:
    """Power of McNemar's test at 5 % when the same questions are asked twice and a share `discordance` changes sides.

    Normal approximation (Connor 1987): Φ((drop √n - 1.96 √d) / √(d - drop²)).
    """
    from scipy.stats import norm

    spread = math.sqrt(discordance - drop**2)
    return float(norm.cdf((drop * math.sqrt(questions) - Z_95 * math.sqrt(discordance)) / spread))
