"""Characters, the split, what padding hides, and the sweep: each against a value worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from toy.addition import train as addition_train
from toy.addition.config import AdditionConfig, longest_answer
from toy.addition.network import END, EQUALS, PAD, Addition, Pairs, answer_of, digits_of, held_out, prompts, targets
from toy.addition.tables import carries, categories, digit_rows, longest_run, place_rows
from toy.addition.train import Training, random_pairs, right
from toy.run.errors import InputError

TINY = AdditionConfig(d_model=16, d_mlp=8, n_heads=2, n_blocks=1, train_pairs=3000, steps=4, batch_size=8, device="cpu")
SHAPES = [
    replace(TINY, shape=shape, order=order, positions=positions)
    for shape in ("decoder", "encoder-decoder")
    for order, positions in (("reversed", "abacus"), ("reversed", "abacus-marks"), ("plain", "absolute"))
]


def text(rows: torch.Tensor) -> list[str]:
    return ["".join("0123456789+=$_"[character] for character in row) for row in rows]


def test_text_by_hand() -> None:
    pairs = torch.tensor([[120, 45], [0, 999], [7, 3]])
    assert text(prompts(pairs, "plain")) == ["120+45_", "0__+999", "7__+3__"]
    assert text(prompts(pairs, "reversed")) == ["021+54_", "0__+999", "7__+3__"]
    assert text(targets(pairs, "plain")) == ["165$_", "999$_", "10$__"]
    assert text(targets(pairs, "reversed")) == ["561$_", "999$_", "01$__"]
    assert text(answer_of(targets(pairs, "plain"))) == ["=165$", "=999$", "=10$_"]
    assert digits_of(torch.tensor([0, 9, 10, 99_999, 100_000])).tolist() == [1, 1, 2, 5, 6]


def test_places_by_hand() -> None:
    pairs, start = torch.tensor([[120, 45], [120, 45]]), torch.tensor([0, 7])
    prompt, answer = prompts(pairs, "reversed"), answer_of(targets(pairs, "reversed"))

    def places(positions: str) -> list[list[int]]:
        return Addition(replace(TINY, positions=positions))._places(prompt, answer, start).tolist()

    assert places("abacus") == [
        [1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4],
        [8, 9, 10, 0, 8, 9, 10, 0, 8, 9, 10, 11],
    ]
    assert places("abacus-marks")[1] == [8, 9, 10, 7, 8, 9, 10, 7, 8, 9, 10, 11]
    assert places("absolute")[1] == [0, 1, 2, 3, 4, 5, 5, 6, 7, 8, 9, 10]  # what is left of a field counts for nothing


def unordered(pairs: Pairs) -> set[tuple[int, int]]:
    return {(min(pair), max(pair)) for pair in pairs.tolist()}


@pytest.mark.parametrize("seed", [0, 1])
def test_no_pair_of_the_sweep_is_trained_on_nor_its_mirror_image(seed: int) -> None:
    config = replace(TINY, seed=seed, split_seed=seed, train_pairs=20_000)
    trained = unordered(Training(config).pairs)
    sweep = categories(config)
    assert len(sweep) == 14 and all(len(pairs) > 5 for pairs in sweep.values())
    for pairs in [*sweep.values(), random_pairs(config, 2000, 7, unseen=True)]:
        assert len(pairs) == len({tuple(pair) for pair in pairs.tolist()}) or len(pairs) == 2000
        assert not trained & unordered(pairs)
    assert len(trained & unordered(random_pairs(config, 2000, 7, unseen=False))) > 20  # small pairs, by chance


def test_what_is_held_out_is_a_property_of_the_unordered_pair() -> None:
    pairs = torch.randint(10**6, (50_000, 2), generator=torch.Generator().manual_seed(0))
    out = held_out(pairs, 0.1, 3)
    assert torch.equal(out, held_out(pairs.flip(1), 0.1, 3)) and abs(float(out.float().mean()) - 0.1) < 0.005
    both = float((out & held_out(pairs, 0.1, 4)).float().mean())
    assert abs(both - 0.01) < 0.003  # seeds are independent
    small = torch.cartesian_prod(torch.arange(100), torch.arange(100))
    assert abs(float(held_out(small, 0.1, 3).float().mean()) - 0.1) < 0.015


@pytest.mark.parametrize("config", SHAPES)
def test_a_longer_pair_in_the_batch_changes_nothing(config: AdditionConfig) -> None:
    model = Addition(config)
    short, both = torch.tensor([[47, 5]]), torch.tensor([[47, 5], [12345, 99999]])
    alone, beside = (
        model(prompts(pairs, config.order), answer_of(targets(pairs, config.order))) for pairs in (short, both)
    )
    torch.testing.assert_close(alone[0, :3], beside[0, :3], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", SHAPES)
def test_one_forward_judges_as_greedy_decoding_does(config: AdditionConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    model, pairs = Addition(config).requires_grad_(False), torch.randint(1000, (40, 2))
    prompt = prompts(pairs, config.order)
    answer = torch.full((40, 1), EQUALS)
    for _ in range(4):
        # Neither END nor PAD, so that every row goes on: what is said is not a sum, but it is what would be said.
        said = model(prompt, answer)[:, -1].argmax(1)
        answer = torch.cat([answer, said[:, None]], dim=1)
    spoken = answer[:, 1:].clone()
    keep = ((spoken != PAD) & (spoken != EQUALS)).all(1)
    spoken[::2, 2] = (spoken[::2, 2] + 1) % 10
    monkeypatch.setattr(addition_train, "targets", lambda pairs, order: spoken)
    expected = torch.arange(40) % 2 == 1
    assert keep.sum() > 3 and torch.equal(right(model, pairs)[keep], expected[keep])


def test_carries_by_hand() -> None:
    pairs = torch.tensor([[999, 1], [55, 45], [123, 456], [505, 505], [9090, 1910]])
    assert carries(pairs).long().tolist() == [[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 1]]
    assert longest_run(carries(pairs)).tolist() == [3, 2, 0, 1, 3]
    kinds = categories(TINY)
    assert (carries(kinds["carries"]).sum(1) == digits_of(kinds["carries"].max(1).values)).all()
    assert (kinds["zeros"] == 0).any(1).all() and kinds["small_exhaustive"].max() < 20
    assert digits_of(kinds["2d+5d"].flatten()).view(-1, 2).unique(dim=0).tolist() == [[2, 5]]


@pytest.mark.parametrize("config", [SHAPES[0], SHAPES[3]])
def test_rows_count_what_they_say(config: AdditionConfig) -> None:
    model = Addition(config).requires_grad_(False)
    rows = list(digit_rows(model))
    assert [row["value"] for row in rows][-1] == "10d+10d" and [row["beyond"] for row in rows].index(True) == 5
    places = {row["value"]: row["pairs"] for row in place_rows(model) if row["by"] == "place"}
    assert places["1"] == places["5"] == 1000 and 500 < places["6"] < 750  # 5/8 of such sums have six digits


def test_the_curriculum_ends_with_everything_and_bad_fields_are_refused() -> None:
    config = replace(TINY, steps=100)
    assert [longest_answer(config, step) for step in (0, 5, 15, 30, 99)] == [3, 4, 5, 6, 6]
    assert longest_answer(replace(config, curriculum=False), 0) == 6
    assert int(Training(TINY).batch().sum(1).max()) < 1000
    for name, value in {"batch_size": 0, "held_out": 1.0, "max_digits": 13, "n_heads": 3}.items():
        with pytest.raises(InputError, match=name if name != "n_heads" else "heads"):
            replace(config, **{name: value}).check()
    assert END in targets(torch.tensor([[1, 1]]), "plain")
