"""Judge published claims about circles: every number against its own search and against simpler explanations.

Commands:
    python scripts/replication/audit_claims.py                          judge results/published/claims.csv
    python scripts/replication/audit_claims.py --claims mine.csv --out results/mine
    python scripts/replication/audit_claims.py --model Qwen/Qwen3-0.6B --from results/Qwen--Qwen3-0.6B
                                                            and run the claims again, this suite's verdicts beside them
"""

import _root
from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from toy.run.errors import InputError

if TYPE_CHECKING:
    from llm_probe.replication.audit.claims import PublishedClaim
    from llm_probe.models.loading import LoadedModel


@dataclass(frozen=True)
class Options:
    """Needs no weights, unless --model names some; about a minute on one core."""

    claims: Path = Path("results/published/claims.csv")
    """Published numbers: source, model, experiment, domain, modulus, layer, dim, frequency, metric, value."""
    out: Path = Path("results/published")
    """Folder of verdicts.csv, audit.html and reruns.csv."""
    null_table: Path = Path("results/calibration/class_mean_null.csv")
    """Random networks, measured by scripts/calibration/null_class_means.py."""
    model: str | None = None
    """Hub id, local folder or `reference`: run the published R² again on it, into reruns.csv."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    probed: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Results of scripts/probe_llm.py on the same model: its verdicts stand beside the numbers."""


def main() -> int:
    kept = "what was written is whole; the audit takes about a minute"
    return run(__file__, Options, __doc__, lambda options, command: print(audit(options, command)), kept)


def audit(options: Options, command: str) -> str:
    """Judge every claim, write the table and the page, and return what is printed.

    Raises:
        InputError: the claims, the table or the model cannot be read, or the folder cannot be written.
    """
    from llm_probe.models.loading import load
    from llm_probe.replication.audit import page
    from llm_probe.replication.audit.claims import read_claims
    from llm_probe.replication.audit.evidence import Nulls, facts, judge_claim
    from llm_probe.replication.audit.random_networks import NullTable
    from llm_probe.replication.audit.rerun import calibrated_verdicts
    from toy.run.cells import check_writable

    if options.probed and not options.model:
        raise InputError("--from stands beside numbers that are run again: give --model too")
    claims, refusals = read_claims(options.claims)
    for refusal in refusals:
        print(refusal, file=sys.stderr)
    if not claims:
        why = f"all {len(refusals)} rows were refused" if refusals else "it has no rows"
        raise InputError(f"no claim in {options.claims} can be judged: {why}")
    check_writable(options.out)
    # What can be wrong with a model is reported before the audit, which takes a minute.
    verdicts = calibrated_verdicts(options.probed, options.model or "") if options.probed else {}
    loaded = load(options.model, revision=options.revision) if options.model else None
    nulls = Nulls(NullTable.read(options.null_table))
    judgements = [judge_claim(claim, claims, nulls) for claim in claims]
    study = page.audit_study(judgements, refusals, facts(nulls))
    result = study.run(None, lambda session: {"verdicts": [page.audit_row(one) for one in judgements]}, command)
    result.write(options.out)
    refused = f"{len(refusals)} row{'s' * (len(refusals) > 1)} refused\n" if refusals else ""
    files = f"verdicts  {options.out}/verdicts.csv      page  {options.out}/audit.html"
    again = run_again(loaded, claims, verdicts, options.out, command) if loaded else ""
    return f"{result}\n\n{refused}{files}{again}"


def run_again(
    loaded: "LoadedModel", claims: "list[PublishedClaim]", verdicts: dict[tuple[str, int], str], out: Path, command: str
) -> str:
    """The claims on a model: reruns.csv, and what to print."""
    from llm_probe.replication.audit import rerun
    from llm_probe.run.study import stage

    grids = {grid for claim in claims if rerun.why_not(loaded, claim) is None for grid in rerun.grids_of(claim)}
    with stage("run again", len(grids), "grids") as bar:

        def tell(grid: rerun.Grid, _: int) -> None:
            bar.set_postfix_str(f"{grid.name}, {grid.n_prompts} prompts")
            bar.update()

        rows = rerun.rerun(loaded, claims, verdicts, on_grid=tell)
    rerun.RERUNS.run(None, lambda session: {"reruns": rows}, command).write(out)
    return f"\n\n{rerun.terminal(claims, rows, verdicts)}\n\nreruns    {out}/reruns.csv"


if __name__ == "__main__":
    sys.exit(main())
