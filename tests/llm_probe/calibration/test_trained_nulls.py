"""Trained networks without the circle they are asked about: their labels, their answers, and the table of levels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import calibrate
import numpy as np
import pytest
import torch

from llm_probe.calibration import hard_nulls, trained_nulls
from llm_probe.calibration.trained_nulls import (
    MEMORISER,
    RENAMED_DOMAINS,
    TRAINED_NULLS,
    available,
    memoriser,
    minilm,
    missing_weights,
    other_order,
    renamed_items,
)
from llm_probe.calibration.trials import Setting, Trial, claim_of, run_trial
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import DOMAINS, SEASONS
from llm_probe.run.config import ProbeConfig
from llm_probe.statistics.renaming import claim_item_kinds, undecidable

CONFIG = ProbeConfig(prompts=250, renamings=99, behaviour=False)
needs_minilm = pytest.mark.skipif(missing_weights() is not None, reason="`make minilm` places the weights")


def test_partitions_go_with_their_items() -> None:
    months, renamed = DOMAINS["months"], renamed_items(DOMAINS["months"], 3)
    assert sorted(renamed.items) == sorted(months.items) and renamed.items != months.items
    season_of = dict(zip(months.items, SEASONS, strict=True))
    assert renamed.partitions["seasons"] == tuple(season_of[item] for item in renamed.items)
    # A prompt's text and label move together: the label is the item's new place.
    first = Claim(renamed, "item").prompts("discovery", 12, 0)[0]
    assert first.label == 0 and renamed.items[0] in first.text
    assert renamed_items(months, 3) == renamed and renamed_items(months, 4) != renamed


def test_a_rotation_and_a_mirror_image_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rotated, mirrored, other = ([2, 3, 4, 0, 1], [1, 0, 4, 3, 2], [0, 2, 1, 3, 4])
    draws = iter([rotated, mirrored, other])
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.tensor(next(draws)))
    assert other_order(5, torch.Generator()) == other


@needs_minilm
def test_the_renamed_domains_are_those_that_minilm_can_be_tested_on() -> None:
    """Words of which enough can change places, seven items or more; after a renaming there are as many orders."""

    def testable(domain) -> bool:
        claim = Claim(domain, "item")
        if claim.renames_digits or claim.period < 7:
            return False
        return undecidable(claim, claim_item_kinds(claim, minilm().tokenizer), 499) is None

    assert tuple(name for name, domain in DOMAINS.items() if testable(domain)) == RENAMED_DOMAINS
    assert all(testable(renamed_items(DOMAINS[name], 0)) for name in RENAMED_DOMAINS)


@needs_minilm
def test_renamed_weekdays_of_minilm_are_no_circle() -> None:
    setting = Setting("renamed MiniLM", 0, config=CONFIG)
    assert setting.claim == Claim(DOMAINS["days"], "item")
    assert claim_of(setting).domain == renamed_items(DOMAINS["days"], 0)
    trial = run_trial(setting)
    assert trial.level != "circle" and trial.verdict != "supported"
    assert trial.p["p_order"] > 0.01


def test_a_memoriser_has_what_it_was_shown_by_heart_and_nothing_else() -> None:
    known = memoriser(1)
    pairs = torch.cartesian_prod(torch.arange(29), torch.arange(29))
    right = (known.network(pairs).argmax(dim=1) == known.answers.flatten()).view(29, 29)
    shown, unseen = (known.claim(shown=which) for which in (True, False))
    admitted = torch.from_numpy(shown.domain.admits(*np.indices((29, 29))))
    assert int(admitted.sum()) == 29 * 29 // 2 and known.train_accuracy >= 0.99
    assert right[admitted].double().mean() == pytest.approx(known.train_accuracy)
    assert right[~admitted].double().mean() < 0.1  # 1/29 by chance
    for claim, pairs_asked in ((shown, admitted), (unseen, ~admitted)):
        prompts = claim.prompts("discovery", 1000, 0)
        assert len(prompts) > 150 and all(pairs_asked[prompt.first, prompt.offset] for prompt in prompts)
        wanted = known.answers if claim is shown else (pairs.sum(dim=1) % 29).view(29, 29)
        assert all(prompt.label == wanted[prompt.first, prompt.offset] for prompt in prompts)


def test_every_memoriser_has_answers_of_its_own() -> None:
    one, other = memoriser(1).answers.clone(), memoriser(2).answers
    assert (one == other).double().mean() < 0.1


def test_a_network_that_has_not_memorised_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"memoriser 0 answers 0\.\d+ of the shown questions after 3 steps"):
        memoriser(0, replace(MEMORISER, steps=3))


def test_answers_known_by_heart_are_decodable_and_unseen_ones_are_not_read() -> None:
    shown, unseen = (run_trial(Setting(null, 1, config=CONFIG)) for null in ("memoriser (shown)", "memoriser"))
    assert (shown.level, shown.verdict) == ("decodable", "undetermined")
    assert shown.p["renaming alone (not printed)"] <= 0.01 < unseen.p["renaming alone (not printed)"]
    assert unseen.level != "circle" and unseen.verdict == "undetermined"


def test_settings_begin_with_the_codes_and_end_with_what_was_trained() -> None:
    few, more = hard_nulls.hard_settings(1), hard_nulls.hard_settings(2)
    families = [hard_nulls.family_of(setting) for setting in few]
    assert len(few) == len(hard_nulls.OF_SUMS) + len(hard_nulls.OF_ITEMS) + 3 and len(more) == 2 * len(few)
    assert tuple(families[-3:]) == TRAINED_NULLS and set(families) == set(hard_nulls.EXPECTED)
    assert [setting for setting in more if setting.seed == 0] == few
    without = hard_nulls.hard_settings(1, TRAINED_NULLS[1:])
    assert without == [setting for setting in few if setting.null != "renamed MiniLM"]
    with pytest.raises(AssertionError, match="names is no family"):
        hard_nulls.family_of(Setting("names", 0))


def test_level_rows_by_hand() -> None:
    settings = [Setting("renamed MiniLM", seed) for seed in range(4)] + [Setting("memoriser", 0)]
    settings.append(Setting("code of items", 0, code="look-up"))
    decodable, clusters = Trial({}, "undetermined", "decodable"), Trial({}, "refuted", "clusters")
    trials = [decodable, decodable, decodable, clusters, Trial({}, "undetermined", "nothing"), decodable]
    minilm_row, unseen, look_up = hard_nulls.level_rows(settings, trials)
    assert (minilm_row.family, minilm_row.quantity, minilm_row.n_networks) == ("renamed MiniLM", "item", 4)
    assert (minilm_row.named, minilm_row.refuted, minilm_row.circle) == (0.75, 0.25, 0)
    assert minilm_row.levels == "decodable 3, clusters 1"
    assert (unseen.family, unseen.quantity, unseen.expected, unseen.named) == ("memoriser", "sum", "nothing", 1)
    assert (look_up.family, look_up.quantity, look_up.n_networks) == ("look-up", "item", 1)
    assert "renamed MiniLM" in hard_nulls.levels_text([minilm_row])


def test_without_its_weights_minilm_is_left_out_in_one_sentence(tmp_path: Path, capsys, monkeypatch) -> None:
    assert missing_weights(tmp_path) and available(tmp_path) == TRAINED_NULLS[1:]
    (tmp_path / "config.json").touch()
    assert missing_weights(tmp_path) is None and available(tmp_path) == TRAINED_NULLS
    monkeypatch.setattr(trained_nulls, "available", lambda: TRAINED_NULLS[1:])
    monkeypatch.setattr(trained_nulls, "missing_weights", lambda: "it is not there: `make minilm` places the model")
    monkeypatch.setattr(
        calibrate, "_trials", lambda settings, *_: [Trial({}, "undetermined", "nothing")] * len(settings)
    )
    out = tmp_path / "results"
    assert calibrate.main(["--networks", "0", "--hard", "1", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.count("make minilm") == 1 and "memoriser (shown)" in said
    table = (out / "levels.csv").read_text()
    assert "memoriser" in table and "MiniLM" not in table
