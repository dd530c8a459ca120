"""Judge published claims about circles: every number against its own search and against simpler explanations.

python scripts/audit_claims.py                                            results/published/claims.csv
python scripts/audit_claims.py --claims mine.csv --out results/mine
"""

import _root

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from toy.errors import InputError


@dataclass(frozen=True)
class Options:
    """Needs no weights; about a minute on one core."""

    claims: Path = Path("results/published/claims.csv")
    """Published numbers: source, model, experiment, domain, modulus, layer, dim, frequency, metric, value."""
    out: Path = Path("results/published")
    """Folder of verdicts.csv and audit.html."""
    null_table: Path = Path("results/calibration/class_mean_null.csv")
    """Random networks, measured by scripts/null_class_means.py."""


def run(options: Options, command: str) -> str:
    """Judge, write, and say what was found.

    Raises:
        InputError: the claims or the table cannot be read, or the folder cannot be written.
    """
    from llm_probe.audit import page
    from llm_probe.audit.claims import read_claims
    from llm_probe.audit.evidence import Nulls, facts, judge_claim
    from llm_probe.audit.null_table import NullTable
    from toy.cells import check_writable
    from toy.files import write_atomic

    claims, refusals = read_claims(options.claims)
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    if not claims:
        why = f"all {len(refusals)} rows were refused" if refusals else "it has no rows"
        raise InputError(f"no claim in {options.claims} can be judged: {why}")
    check_writable(options.out)
    nulls = Nulls(NullTable.read(options.null_table))
    judgements = [judge_claim(claim, claims, nulls) for claim in claims]
    write_atomic(options.out / "verdicts.csv", page.table(judgements))
    write_atomic(options.out / "audit.html", page.render(judgements, refusals, facts(nulls), command))
    refused = f"{len(refusals)} row{'s' * (len(refusals) > 1)} refused\n" if refusals else ""
    files = f"verdicts  {options.out}/verdicts.csv      page  {options.out}/audit.html"
    return f"{page.terminal(judgements)}\n\n{refused}{files}"


def main() -> int:
    options = tyro.cli(Options, description=__doc__, prog="python scripts/audit_claims.py")
    try:
        print(run(options, shlex.join(["python", "scripts/audit_claims.py", *sys.argv[1:]])))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: nothing was written; the audit takes about a minute", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
