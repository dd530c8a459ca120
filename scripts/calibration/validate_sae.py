"""Do groups of latents recover circles that are known to be there? Planted ones, and the key planes of grokked toys.

python scripts/calibration/validate_sae.py                                           48 circles planted in 64 dimensions
python scripts/calibration/validate_sae.py --toy work/toy/fast/seed0 --saes work/sae/toy    SAEs trained on it

Each known plane's best group goes to planted.csv or toy.csv.
"""

import _root
from _command import run

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from sae.config import SaeConfig
from toy.run.files import write_atomic


@dataclass(frozen=True)
class Validation:
    """Where the known circles come from."""

    toy: Path | None = None
    """Run directory of a grokked toy; none given: circles are planted."""
    saes: tuple[str, ...] = ()
    """SAEs that were trained on the toy (train_sae.py --model <toy>)."""
    circles: int = 48
    """Number of planted circles, in 64 dimensions."""
    sae: SaeConfig = field(default_factory=lambda: SaeConfig(width=512, k=8, tokens=400_000))
    """Settings of the SAE that is trained on planted circles; k = 8 is about how many latents such a state needs."""
    seed: int = 0
    """Seed of the planted circles, the SAE and the states."""
    out: Path = Path("results/sae_validation")
    """Folder of the table."""


def main() -> int:
    return run(__file__, Validation, __doc__, _validate, "nothing was written, the same command starts again")


def _validate(validation: Validation, _: str) -> None:
    import pandas as pd

    from sae.circles.validate import on_planted, on_toy

    if validation.toy:
        matches, name = on_toy(validation.toy, validation.saes), "toy"
    else:
        matches, name = on_planted(validation.circles, validation.sae, validation.seed), "planted"
    frame = pd.DataFrame([{"sae": sae, **asdict(row)} for sae, rows in matches.items() for row in rows])
    write_atomic(validation.out / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
    print(frame.to_string(index=False, float_format="%.3f"))
    print(f"\nsmallest {frame.agreement.min():.3f}, mean {frame.agreement.mean():.3f} of {len(frame)} planes")


if __name__ == "__main__":
    sys.exit(main())
