"""From claims to verdicts: searches, questions, ablations; and the script end to end."""

import csv
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from llm_probe.replication.audit import magnitude_networks, page
from llm_probe.replication.audit.claims import COLUMNS, PublishedClaim, read_claims
from llm_probe.replication.audit.evidence import COMPOSITES, PRIMES, Nulls, judge_claim
from llm_probe.replication.audit.judge import ABOVE, CONTRADICTED, NO_EVIDENCE
from llm_probe.replication.audit.random_networks import COLUMNS as TABLE_COLUMNS
from llm_probe.replication.audit.searches import SEARCHES, chance_of, domain_of, grid_of, questions_of, search_of
from llm_probe.run.table import columns_of
from tests.root import ROOT


@pytest.fixture(scope="module")
def claims() -> list[PublishedClaim]:
    return read_claims(ROOT / "results" / "published" / "claims.csv")[0]


@pytest.fixture
def few_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws instead of networks: 20 networks whose 64 outputs have R² between 0.9 and 0.99."""
    values = np.random.default_rng(0).uniform(0.9, 0.99, (20, 64))
    monkeypatch.setattr(magnitude_networks, "r2", lambda n, grid, statistic: values)
    monkeypatch.setattr(magnitude_networks, "input_share", lambda n, terms: values / 10)


def one(claims: list[PublishedClaim], experiment: str, **fields) -> PublishedClaim:
    def fits(claim: PublishedClaim) -> bool:
        return claim.experiment == experiment and all(getattr(claim, name) == value for name, value in fields.items())

    return next(claim for claim in claims if fits(claim))


def test_every_r2_claim_has_a_search(claims: list[PublishedClaim]) -> None:
    fits = {claim.experiment for claim in claims if claim.kind.endswith("r2")}
    assert fits == set(SEARCHES)
    sizes = {
        ("prime_generalization_top10", 7): 1024, ("prime_generalization_dim35", 7): 1,
        ("prime_generalization_dim35", 23): 28, ("cyclic_domains_best", 7): 28 * 1024,
        ("cyclic_domains_best", 26): 1024,
        ("qwen3_deep", 23): 28, ("sae_layer7_features", 23): 4096, ("dim867_range_scan", 17): 1024,
        ("dim867_range_scan", 18): 1,
    }  # fmt: skip
    for (experiment, modulus), columns in sizes.items():
        assert search_of(one(claims, experiment, modulus=modulus)).columns == columns, experiment


def test_domains_and_grids(claims: list[PublishedClaim]) -> None:
    named = {domain_of(claim) for claim in claims if claim.experiment.startswith(("cyclic", "alphabet"))}
    assert named == {"days", "months", "hours", "alphabet", "alphabet position"}
    assert grid_of(one(claims, "cyclic_domains_best", modulus=26)) == "alphabet"
    assert grid_of(one(claims, "alphabet_linear")) == "positions"
    assert domain_of(one(claims, "composites_top10", modulus=60)) == "mod-add 60"


def test_questions_behind_shares(claims: list[PublishedClaim]) -> None:
    # 8,930 of 8,939, 19 of 3,529: the published shares are whole numbers of these.
    for modulus, metric, count in (
        (113, "test_acc_last_logged", 8939),
        (71, "test_acc_last_logged", 3529),
        (113, "train_acc_last_logged", 3830),
    ):
        claim = one(claims, "toy_modular_addition", modulus=modulus, metric=metric)
        assert questions_of(claim) == count
        assert claim.value * count == pytest.approx(round(claim.value * count), abs=1e-3)
    for claim in claims:
        if claim.experiment in ("miras_extrapolation", "miras_mechanics") and claim.metric in ("accuracy", "baseline"):
            assert claim.value * (questions_of(claim) or 0) == pytest.approx(
                round(claim.value * (questions_of(claim) or 0)), abs=1e-3
            )
    assert chance_of(one(claims, "qwen3_accuracy")) == pytest.approx(1 / 23)
    assert chance_of(one(claims, "addition_headline")) == 0.1
    assert PRIMES == (5, 7, 11, 13, 17, 19, 23, 29, 31) and len(COMPOSITES) == 22


@pytest.mark.usefixtures("few_networks")
@pytest.mark.parametrize(
    ("experiment", "fields", "verdict", "words"),
    [
        ("prime_generalization_top10", {"modulus": 23, "dim": 867}, NO_EVIDENCE, "two-digit operands"),
        ("poly_vs_fourier", {"modulus": 7, "dim": 867, "frequency": None}, NO_EVIDENCE, "cubic polynomial"),
        ("poly_vs_fourier_readme", {"modulus": 17, "metric": "quadratic_r2_residue_means"}, CONTRADICTED, "Impossible"),
        ("nanda_paper", {"metric": "fve_cos_w(a+b)", "frequency": 14}, ABOVE, "Nothing simple"),
        ("nanda_paper", {"metric": "fve_degree2_poly", "dim": 1}, NO_EVIDENCE, "no null"),
        ("causal_ablation_zero", {"metric": "acc_drop", "dim": 35}, NO_EVIDENCE, "14 of 50 right without and 2 with"),
        ("causal_ablation_zero", {"metric": "ablated_acc", "dim": 8}, NO_EVIDENCE, "Fisher p = 0.078"),
        ("causal_ablation_zero", {"metric": "ablated_ppl", "dim": 8}, NO_EVIDENCE, "Ten one-line sentences"),
        ("causal_ablation_zero", {"metric": "base_acc", "dim": 8}, ABOVE, "14 of 50 right"),
        ("miras_sinpe_headline", {"modulus": 71}, CONTRADICTED, "became a training prime"),
        ("miras_extrapolation", {"modulus": 83, "model": "MIRAS universal_e100000"}, CONTRADICTED, "no extrapolation"),
        ("miras_extrapolation", {"modulus": 83, "model": "MIRAS ce_final"}, ABOVE, "of 6,889 right"),
        ("miras_universal_extrapolation", {"modulus": 199}, NO_EVIDENCE, "how many questions"),
        ("toy_modular_addition", {"modulus": 71, "metric": "test_acc_last_logged"}, NO_EVIDENCE, "19 of 3,529"),
        ("addition_sweep_epoch_10000", {"domain": "1d+1d"}, NO_EVIDENCE, "trained on"),
    ],
)  # fmt: skip
def test_verdicts_of_single_claims(
    claims: list[PublishedClaim], experiment: str, fields: dict, verdict: str, words: str
) -> None:
    judgement = judge_claim(one(claims, experiment, **fields), claims, Nulls(None))
    assert (judgement.verdict, words in judgement.reason) == (verdict, True), judgement.reason


@pytest.mark.usefixtures("few_networks")
def test_the_strongest_null_counts(claims: list[PublishedClaim]) -> None:
    claim = one(claims, "prime_generalization_dim35", modulus=7)
    judgement = judge_claim(claim, claims, Nulls(None))
    assert judgement.null == magnitude_networks.NAME and judgement.p_fwer is not None
    assert judgement.p_fwer == pytest.approx(0.05, abs=0.015)  # 0.9855 on a uniform law from 0.9 to 0.99
    assert "white noise p = " in judgement.reason


def test_an_ablation_without_its_partner_is_no_evidence(claims: list[PublishedClaim]) -> None:
    claim = one(claims, "causal_ablation_zero", metric="ablated_acc", dim=35)
    assert "without the ablation was not published" in judge_claim(claim, [claim], Nulls(None)).reason


@pytest.mark.usefixtures("few_networks")
def test_the_table_and_the_page_hold_every_claim(claims: list[PublishedClaim], tmp_path: Path) -> None:
    chosen = [
        claim for claim in claims if claim.experiment in ("composites_top10", "causal_ablation_zero", "nanda_paper")
    ]
    judgements = [judge_claim(claim, claims, Nulls(None)) for claim in chosen]
    study = page.audit_study(judgements, [], [])
    study.run(None, lambda session: {"verdicts": [page.audit_row(one) for one in judgements]}).write(tmp_path)
    text = (tmp_path / "verdicts.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert tuple(rows[0]) == tuple(columns_of(page.AuditRow)) and len(rows) == len(chosen)
    assert tuple(rows[0])[: len(COLUMNS)] == COLUMNS
    assert all(row["reason"] and row["verdict"] in page.VERDICTS for row in rows)
    assert "nan" not in text.lower().replace("nanda", "")
    html = page.render(judgements, ["line 3 <b> is refused"], ["a fact"], "python x")
    assert html.count('class="chip') == len(chosen) + 3
    assert "&lt;b&gt;" in html and "<script" not in html and not re.search(r'(src|href)="http', html)
    assert f"{len(chosen)} published numbers" in page.terminal(judgements)
    assert page.terminal([]).endswith("0 published numbers: 0 above chance, 0 not evidence by itself, 0 contradicted.")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    import audit_claims

    monkeypatch.setattr(sys, "argv", ["audit_claims.py", *map(str, arguments)])
    return audit_claims.main()


@pytest.mark.usefixtures("few_networks")
def test_the_script_writes_verdicts_and_says_what_it_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = (ROOT / "results" / "published" / "claims.csv").read_text(encoding="utf-8").splitlines()
    days = next(line for line in lines if "days_of_week" in line)
    (tmp_path / "claims.csv").write_text("\n".join([lines[0], days, days.replace("0.9953", "much")]))
    row = "random-init Qwen3,days,7,0,0,1024,0.99,0.95,0.6,0.7,0.8,0.85,0.9"
    (tmp_path / "null.csv").write_text("\n".join([",".join(TABLE_COLUMNS), row]))
    options = ("--claims", tmp_path / "claims.csv", "--null-table", tmp_path / "null.csv", "--out", tmp_path / "out")
    assert _run(monkeypatch, *options) == 0
    printed = capsys.readouterr()
    assert "line 3 of claims.csv is refused: the value 'much' is no number" in printed.err
    assert "1 published number:" in printed.out and "1 row refused" in printed.out
    (verdict,) = csv.DictReader((tmp_path / "out" / "verdicts.csv").read_text(encoding="utf-8").splitlines())
    assert (
        verdict["verdict"] == NO_EVIDENCE
        and verdict["published"] == "0.9953"
        and "random-weights Qwen3 p" in verdict["reason"]
    )
    assert (tmp_path / "out" / "audit.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_file_of_bad_rows_only_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "claims.csv").write_text(",".join(COLUMNS) + "\na,b,c,d,,,,,x,1\n")
    assert _run(monkeypatch, "--claims", tmp_path / "claims.csv", "--out", tmp_path / "out") == 2
    assert "can be judged: all 1 rows were refused" in capsys.readouterr().err
    assert _run(monkeypatch, "--claims", tmp_path / "none.csv") == 2
    assert not (tmp_path / "out").exists()
