"""Shared neurons, where it is known which matter: two tiny networks, one of them with a single neuron that writes."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from causal.attribution.neurons import (
    DRAWS,
    Held,
    SharedNeurons,
    amount,
    matched,
    neurons,
    overlap,
)
from causal.attribution.tables import NeuronRow
from causal.interventions.questions import ask
from causal.page.neurons import section, sentences
from causal.run.causal_run import CAUSAL, run
from causal.run.config import CausalConfig
from causal.run.plan import claim_of
from llm_probe.models.loading import LoadedModel, wrap
from llm_probe.questions.prompts import Prompt
from llm_probe.run.table import frame
from toy.run.errors import InputError

WIDTH = 24


@pytest.fixture
def held(loaded: LoadedModel, prompts: list[Prompt]) -> Held:
    return Held(loaded, ask(loaded, prompts, [str(answer) for answer in range(12)]), neurons(loaded))


def test_every_block_has_its_neurons(held: Held) -> None:
    assert [len(some) for some in held.nothing.values()] == [WIDTH] * 3
    assert list(held.nothing) == ["0.neurons", "1.neurons", "2.neurons"]


def test_nothing_held_changes_nothing_and_everything_held_leaves_the_mean(held: Held) -> None:
    clean = held.answers(held.nothing).log_p
    half = held.answers({name: some + 0.5 for name, some in held.nothing.items()}).log_p
    assert not torch.allclose(clean, half, atol=1e-3)
    # Neurons that never leave their mean are held without a change: all of them, where there is one prompt alone.
    alone = Held(held.loaded, held.questions.take([0]), held.points)
    whole = alone.answers({name: some + 1 for name, some in held.nothing.items()}).log_p
    trees = len(alone.questions.items[0].tree.nodes)
    assert trees == 2  # "1" may go on to "10" and "11": the second depth has a mean of its own
    torch.testing.assert_close(whole, alone.answers(held.nothing).log_p, rtol=1e-4, atol=1e-5)


def test_importances_add_up_to_what_all_neurons_are_worth(held: Held) -> None:
    labels = held.questions.labels[:, None]
    everything = {name: some + 1 for name, some in held.nothing.items()}
    falls = [held.answers(amounts).log_p.detach().gather(1, labels).mean() for amounts in (held.nothing, everything)]
    total = sum(float(some.sum()) for some in held.importance().values())
    assert total == pytest.approx(float(falls[0] - falls[1]), abs=0.02)


def test_a_silent_network_but_for_one_neuron(held: Held) -> None:
    """All last matrices are zero but for one neuron's row: it alone is important, and it alone writes."""
    model = copy.deepcopy(held.loaded.model)
    loaded = wrap(model, held.loaded.tokenizer, name="silent")
    points = neurons(loaded)
    for layer, point in enumerate(points):
        kept = point.module.weight.data[:, 5].clone()
        point.module.weight.data.zero_()
        if layer == 1:
            point.module.weight.data[:, 5] = 8 * kept
    one = Held(loaded, held.questions, points)
    importance, written = one.importance(), one.written()
    for values in (importance, written):
        others = torch.cat([*(some for name, some in values.items() if name != "1.neurons"), values["1.neurons"][:5]])
        assert not others.any() and values["1.neurons"][5] != 0
    mask = {name: some != 0 for name, some in importance.items()}
    assert overlap(mask, mask) == 1
    before, after = one.answers(one.nothing), one.answers({name: some.float() for name, some in mask.items()})
    assert not torch.allclose(before.log_p, after.log_p, atol=1e-3)


def test_matched_sets_are_others_of_the_same_block_that_write_as_much(held: Held) -> None:
    written = held.written()
    own = {name: torch.arange(WIDTH) == 7 * index for index, name in enumerate(written)}
    near = {name: (some - some[own[name]]).abs().argsort()[1:11] for name, some in written.items()}
    draws = [matched(own, written, torch.Generator().manual_seed(seed)) for seed in range(20)]
    for draw in draws:
        assert overlap(own, draw) == 0
        assert all(int(some.nonzero()) in near[name] for name, some in draw.items())
    assert len({tuple(int(some.nonzero()) for some in draw.values()) for draw in draws}) > 10
    # Where a set is all of a block but two, two are left.
    most = {name: torch.arange(WIDTH) > 1 for name in written}
    assert overlap(most, most) == 3 * 22 and amount(matched(most, written, torch.Generator()), written) == amount(
        {name: ~mask for name, mask in most.items()}, written
    )


def test_a_row_a_pair_of_domains(loaded: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("causal.attribution.neurons.FITTED", 12)
    monkeypatch.setattr("causal.attribution.neurons.ASKED", 8)
    claims = [claim_of("mod-add 11"), claim_of("mod-add 12")]
    rows = list(SharedNeurons(loaded, claims, 0).rows(1))
    assert [(row.held, row.domain) for row in rows] == [("mod-add 12", "mod-add 11"), ("mod-add 12", "mod-add 12")]
    assert rows[1].overlap == 1 and rows[1].overlap_by_chance == 0 and 0 <= rows[0].overlap <= 1
    assert rows[0].neurons == round(0.05 * 3 * WIDTH) and rows[0].draws == DRAWS and rows[0].n == 8
    assert sum(map(int, rows[0].blocks.split())) == rows[0].neurons and 0 < rows[0].p <= 1
    with pytest.raises(InputError, match="two domains or more"):
        SharedNeurons(loaded, claims[:1], 0)


def row(held: str, domain: str, accuracy: float) -> NeuronRow:
    return NeuronRow("trained", held, domain, 4, "0 4", 0.9, 0.5, 0.1, 1.0, accuracy, 0.9, 0.8, 0.05, 100, DRAWS)


def test_the_page_says_what_is_shared(tmp_path: Path) -> None:
    rows = [
        row("days", "days", 0.2),
        row("days", "months", 0.5),
        row("months", "days", 0.85),
        row("months", "months", 0.3),
    ]
    (sentence,) = sentences(frame(rows, NeuronRow))
    assert "keeps 25% of its answers on average (100% before)" in sentence and "1 of 2 pairs lose 10 points" in sentence
    assert sentences(frame([], NeuronRow)) == [] and section(tmp_path) is None
    folder = tmp_path / "causal-neurons"
    CAUSAL.run(folder, lambda _: {"shared_neurons": rows}, "again").write(folder)
    made = section(tmp_path)
    assert made is not None and "1 of 2 pairs" in made.html and "<svg" in made.html
    assert (folder / "figures" / "neurons.svg").is_file()


def test_a_run_of_the_reference_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its neurons decide its sums: without them more answers are lost than without as many others."""
    for name, value in (("FITTED", 40), ("ASKED", 20), ("DRAWS", 2)):
        monkeypatch.setattr(f"causal.attribution.neurons.{name}", value)
    config = CausalConfig(neurons=True, claims=("mod-add 7", "days"), out=tmp_path)
    rows = run(config, "again").frames["shared_neurons"]
    own = rows.loc[rows["held"] == rows["domain"]]
    assert len(rows) == 4 and (own["accuracy"] < own["matched_low"]).all() and (own["accuracy_before"] > 0.9).all()
