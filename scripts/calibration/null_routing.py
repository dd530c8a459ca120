"""How often "who routes the modulus" calls a head significant in networks that never learnt anything.

python scripts/calibration/null_routing.py            24 networks of the reference model's shape: 10 minutes of one core

Writes results/calibration/routing_null.csv: a row a modulus, and one for all together; in how many networks the
smallest corrected p over the heads is at most 0.05 and 0.01, and the smallest of all.
"""

from __future__ import annotations

import _root
from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path

from toy.run.errors import InputError

MODULI = (11, 12, 13, 17, 19, 23, 24)


@dataclass(frozen=True)
class Options:
    """How much of it."""

    model: str = "reference"
    """Whose shape and tokenizer the networks have."""
    networks: int = 24
    """Random networks; none is the control that scripts/run_causal.py shows (seed 0)."""
    prompts: int = 40
    """Of a modulus."""
    out: Path = Path("results/calibration/routing_null.csv")
    """The table."""


def main() -> int:
    return run(__file__, Options, __doc__, _count, "nothing was written, the same command starts again")


def _count(options: Options, _: str) -> None:
    import pandas as pd

    from causal.run.plan import claim_of
    from causal.attribution.routing import rows_of
    from causal.attribution.donors import triples
    from llm_probe.models.loading import load, randomised
    from toy.run.cells import check_writable
    from toy.run.files import write_atomic

    if min(options.networks, options.prompts) < 1:
        raise InputError(f"networks {options.networks}, prompts {options.prompts}: give 1 or more of each")
    check_writable(options.out.parent)
    loaded, claims = load(options.model), [claim_of(f"mod-add {modulus}") for modulus in MODULI]
    batches = {claim.domain.name: list(triples(loaded, claim, claims, options.prompts, seed=0)) for claim in claims}
    smallest: dict[str, list[float]] = {}
    for seed in range(1, options.networks + 1):
        heads = [row for row in rows_of(randomised(loaded, seed), batches, seed) if row.p is not None]
        for domain in dict.fromkeys(row.domain for row in heads):
            smallest.setdefault(domain, []).append(min(row.p for row in heads if row.domain == domain and row.p))
        print(f"{seed} of {options.networks} networks", file=sys.stderr, flush=True)
    table = pd.DataFrame(
        {
            "domain": domain,
            "networks": len(p),
            "p_05": sum(one <= 0.05 for one in p),
            "p_01": sum(one <= 0.01 for one in p),
            "smallest_p": min(p),
        }
        for domain, p in smallest.items()
    )
    write_atomic(options.out, table.to_csv(index=False))
    print(table.to_string(index=False))


if __name__ == "__main__":
    sys.exit(main())
