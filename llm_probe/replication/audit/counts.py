"""Shares of right answers: is a share above guessing, do two shares differ, and would fifty questions have shown it.

- above guessing: P(Bin(n, chance) ≥ right), exact, beside the Wilson interval (`toy.training.survival.wilson`);
- two shares: Fisher's exact test, two-sided, and Newcombe's interval of the difference (1998, method 10), which
  combines the Wilson limits l, u:  d - √((p₁-l₁)² + (u₂-p₂)²)  to  d + √((u₁-p₁)² + (p₂-l₂)²);
- power: whether the number of questions could have shown a drop at all.
"""

from __future__ import annotations

import math

from toy.training.survival import wilson

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


def newcombe(first: int, second: int, questions: int) -> tuple[float, float]:
    """95 % interval of the difference first - second of two shares."""
    p1, p2 = first / questions, second / questions
    (low1, high1), (low2, high2) = wilson(first, questions), wilson(second, questions)
    return (
        p1 - p2 - math.hypot(p1 - low1, high2 - p2),
        p1 - p2 + math.hypot(high1 - p1, p2 - low2),
    )


def paired_power(drop: float, discordance: float, questions: int) -> float:
    """Power of McNemar's test at 5 % when the same questions are asked twice and a share `discordance` changes sides.

    Normal approximation (Connor 1987): Φ((drop √n - 1.96 √d) / √(d - drop²)).
    """
    from scipy.stats import norm

    spread = math.sqrt(discordance - drop**2)
    return float(norm.cdf((drop * math.sqrt(questions) - Z_95 * math.sqrt(discordance)) / spread))
