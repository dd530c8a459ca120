"""How many prompts an intervention needs, before it is run.

McNemar's test on n prompts of which a share ψ (discordance) changes sides, with a drop δ of the accuracy; normal
approximation (Connor 1987, Biometrics 43: 207), two-sided level α:

    power(n) = Φ((δ √n - z_{1-α/2} √ψ) / √(ψ - δ²))
    n        = ((z_{1-α/2} √ψ + z_power √(ψ - δ²)) / δ)²

A drop of 5 points at a discordance of 0.15 needs 469 prompts for a power of 0.8. The discordance cannot be below the
drop: where every change is a loss it equals it.
"""

from __future__ import annotations

import math

from toy.run.errors import InputError

DROP, DISCORDANCE, LEVEL, ENOUGH = 0.05, 0.15, 0.05, 0.8
"""A drop that matters, the discordance it is planned for, the level, and the power that is asked for."""


def power(prompts: int, drop: float = DROP, discordance: float = DISCORDANCE, level: float = LEVEL) -> float:
    """Probability that exact McNemar's normal approximation shows the drop."""
    from scipy.stats import norm

    critical = float(norm.ppf(1 - level / 2))
    spread = math.sqrt(max(discordance - drop**2, 1e-12))
    return float(norm.cdf((drop * math.sqrt(prompts) - critical * math.sqrt(discordance)) / spread))


def needed(drop: float = DROP, discordance: float = DISCORDANCE, level: float = LEVEL, enough: float = ENOUGH) -> int:
    """The fewest prompts with that power."""
    from scipy.stats import norm

    critical, wanted = float(norm.ppf(1 - level / 2)), float(norm.ppf(enough))
    return math.ceil(((critical * math.sqrt(discordance) + wanted * math.sqrt(discordance - drop**2)) / drop) ** 2)


def words(prompts: int) -> str:
    """The power of a run in words."""
    return f"{prompts} prompts show a drop of {100 * DROP:.0f} points with power {power(prompts):.2f}"


def check(prompts: int) -> str:
    """The power of a run in words.

    Raises:
        InputError: it is below 0.8; the message says how many prompts would do.
    """
    if power(prompts) < ENOUGH:
        raise InputError(
            f"{words(prompts)}, less than {ENOUGH}: give --prompts {needed()} or more, or --underpowered to run anyway"
        )
    return words(prompts)
