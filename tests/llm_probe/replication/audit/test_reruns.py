"""Published numbers run again on a tiny random model, and the verdicts of a probe run beside them."""

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llm_probe.models import loading as models
from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.replication.audit import magnitude_networks, reruns
from llm_probe.replication.audit.claims import COLUMNS, PublishedClaim
from llm_probe.replication.audit.random_networks import COLUMNS as TABLE_COLUMNS
from llm_probe.replication.experiments.rerun import rerun
from toy.run.errors import InputError

CLAIM = PublishedClaim(
    source="a file",
    model="Qwen/Qwen3-tiny",
    experiment="prime_generalization_top10",
    domain='modular_addition "{a} + {b} mod {p} ="',
    modulus=7,
    layer=1,
    dim=3,
    frequency=2,
    metric="fourier_r2_residue_means",
    value=0.9,
    line=2,
)
DAYS = replace(CLAIM, domain='days_of_week "{day} + {offset} days = "', experiment="cyclic_domains_best")
OTHER = replace(CLAIM, model="a model of numbers")


@pytest.fixture
def loaded(tiny, tokenizer) -> LoadedModel:
    return wrap(tiny("qwen3"), tokenizer, name="tiny")


@pytest.fixture
def probed(tmp_path: Path) -> Path:
    """A probe run of the model `tiny`, as far as it is read."""
    folder = tmp_path / "probed"
    folder.mkdir()
    rows = ["domain,period,quantity,verdict", "mod-add 7,7,sum,supported", "days,7,item,refuted"]
    (folder / "verdicts.csv").write_text("\n".join(rows), encoding="utf-8")
    (folder / "run.json").write_text(json.dumps({"model": "tiny"}), encoding="utf-8")
    return folder


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))


def test_a_row_is_the_claim_and_what_the_model_gives(loaded: LoadedModel) -> None:
    found = rerun(loaded, [CLAIM, OTHER])
    first, second = read(reruns.table(found))
    assert tuple(first) == reruns.RERUN_COLUMNS == (*COLUMNS, *tuple(first)[len(COLUMNS) :])
    assert (first["domain"], first["dim"], first["published"]) == (CLAIM.domain, "3", "0.9")
    assert found[0].reproduced is not None
    assert float(first["reproduced"]) == pytest.approx(found[0].reproduced, rel=1e-5)
    assert float(first["difference"]) == pytest.approx(found[0].reproduced - 0.9, abs=1e-5)
    assert (first["reproduced_best_dim"], first["n_prompts"]) == (str(found[0].best_dim), "49")
    assert first["reason"] == first["calibrated"] == ""
    assert "not asked in words" in second["reason"]
    assert {second[name] for name in ("reproduced", "difference", "rank", "n_prompts", "calibrated")} == {""}


def test_verdicts_stand_beside_their_own_domain_period_and_quantity(loaded: LoadedModel, probed: Path) -> None:
    verdicts = reruns.calibrated_verdicts(probed, "tiny")
    found = rerun(loaded, [CLAIM, replace(CLAIM, modulus=5), DAYS, OTHER])
    assert [row.calibrated for row in reruns.rows(found, verdicts)] == ["supported", "", "", ""]
    said = reruns.terminal(found, verdicts)
    assert "1 supported, 1 no verdict" in said
    assert "3 of 4 claims run again" in said
    assert "1  it is about a model of numbers, which is not asked in words" in said


def test_another_models_verdicts_are_refused(probed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a run of tiny, not of large"):
        reruns.calibrated_verdicts(probed, "large")
    with pytest.raises(InputError, match=r"holds no verdicts\.csv and run\.json"):
        reruns.calibrated_verdicts(tmp_path / "none", "tiny")


def _run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    import audit_claims

    monkeypatch.setattr(sys, "argv", ["audit_claims.py", *map(str, arguments)])
    return audit_claims.main()


def test_the_script_runs_claims_again(
    tmp_path: Path, loaded: LoadedModel, probed: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    values = np.random.default_rng(0).uniform(0.9, 0.99, (20, 64))
    monkeypatch.setattr(magnitude_networks, "r2", lambda n, grid, statistic: values)
    monkeypatch.setattr(models, "load", lambda name, revision: loaded)
    with (tmp_path / "claims.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, *([getattr(claim, name) for name in COLUMNS] for claim in (CLAIM, DAYS))])
    row = "random-init Qwen3,mod-add 7,7,0,0,1024,0.99,0.95,0.6,0.7,0.8,0.85,0.9"
    (tmp_path / "null.csv").write_text("\n".join([",".join(TABLE_COLUMNS), row]))
    options = ("--claims", tmp_path / "claims.csv", "--null-table", tmp_path / "null.csv", "--out", tmp_path / "out")
    assert _run(monkeypatch, *options, "--model", "tiny", "--from", probed) == 0
    assert "2 of 2 claims run again" in capsys.readouterr().out
    again = read((tmp_path / "out" / "reruns.csv").read_text(encoding="utf-8"))
    assert [entry["calibrated"] for entry in again] == ["supported", ""]
    assert _run(monkeypatch, *options, "--from", probed) == 2
    assert "give --model too" in capsys.readouterr().err
