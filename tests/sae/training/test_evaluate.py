"""Measures whose value is known: a perfect SAE, one that knows only the mean, latents that never or always fire."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from llm_probe.models.loading import LoadedModel
from sae.config import SaeConfig
from sae.source.sources import UNSCORED
from sae.training.evaluate import HeldOut, cross_entropy, held_out, measure
from sae.training.saved import Saved
from sae.training.train import stream_of

PLACE = (1, "resid_post")


class Made:
    """An SAE of d + 2 latents: x and -x are exact with all of them; the last two fire never and always."""

    def __init__(self, d: int, part: float, mean: Tensor | None = None) -> None:
        self.cfg, self.device, self.dtype = SimpleNamespace(d_in=d, d_sae=d + 2), torch.device("cpu"), torch.float32
        self.part, self.mean = part, torch.zeros(d) if mean is None else mean

    def encode(self, states: Tensor) -> Tensor:
        always = torch.ones(len(states), 1)
        return torch.cat([states, 0 * always, always], dim=1)

    def decode(self, latents: Tensor) -> Tensor:
        return self.mean + self.part * (latents[:, :-2] - self.mean)


@pytest.fixture(scope="module")
def held(loaded: LoadedModel, folder) -> HeldOut:
    config = SaeConfig(
        model=str(folder), tokens=256, batch=64, buffer_tokens=128, context=16, undertrained=True, task_share=0.25,
        text=folder / "documents.txt", domains=("days",), held_out_tokens=300,
    )  # fmt: skip
    return held_out(config, loaded, stream_of(config, loaded, [PLACE]))[PLACE]


def saved(made: Made) -> Saved:
    return Saved(made, "made", 1, "resid_post", None)


def test_a_perfect_sae(held: HeldOut) -> None:
    measures = measure(saved(Made(16, 1.0)), held)
    assert measures["fvu"] == measures["fvu_text"] == measures["fvu_task"] == 0
    assert measures["l0"] == pytest.approx(17)
    assert measures["dead_share"] == pytest.approx(1 / 18)
    assert measures["dense_share"] == pytest.approx(17 / 18)
    for kind in ("text", "task"):
        assert measures[f"ce_sae_{kind}"] == pytest.approx(measures[f"ce_clean_{kind}"], abs=1e-5)
    assert measures["held_out_text"] >= 288 and measures["held_out_task"] > 100
    assert measures["counted"] > measures["held_out_text"] + measures["held_out_task"]


def test_half_of_every_deviation_leaves_a_quarter_of_the_variance(held: HeldOut) -> None:
    text = held.states[~held.task]
    measures = measure(saved(Made(16, 0.5, text.mean(dim=0))), held)
    assert measures["fvu_text"] == pytest.approx(0.25, abs=1e-4)


def test_the_mean_alone_recovers_nothing_of_itself(held: HeldOut) -> None:
    measures = measure(saved(Made(16, 0.0, held.states.mean(dim=0))), held)
    assert measures["fvu"] >= 0.99
    for kind in ("text", "task"):
        assert measures[f"ce_sae_{kind}"] == pytest.approx(measures[f"ce_mean_{kind}"], abs=1e-4)
        assert measures[f"ce_recovered_{kind}_of_mean"] in (None, pytest.approx(0.0, abs=1e-3))


def test_shares_weigh_text_and_prompts(held: HeldOut) -> None:
    """All weight on one kind gives that kind's own FVU."""
    made = saved(Made(16, 0.7))
    for share, kind in ((0.0, "text"), (1.0, "task")):
        measures = measure(made, replace(held, task_share=share))
        assert measures["fvu"] == pytest.approx(measures[f"fvu_{kind}"], rel=1e-4)
        assert measures["ce_recovered"] == pytest.approx(measures[f"ce_recovered_{kind}"])


def test_cross_entropy_is_that_of_plain_forwards(held: HeldOut, loaded: LoadedModel) -> None:
    for kind in (False, True):
        losses = []
        for passage in held.passages:
            if passage.task is kind:
                with torch.no_grad():
                    log_p = loaded.model(torch.tensor([passage.ids])).logits[0].log_softmax(dim=-1)
                losses += [
                    -float(log_p[place, target]) for place, target in enumerate(passage.targets) if target != UNSCORED
                ]
        nats = cross_entropy(held, None)["task" if kind else "text"]
        assert nats == pytest.approx(sum(losses) / len(losses), rel=1e-4)


def test_long_states_are_not_replaced(held: HeldOut) -> None:
    assert cross_entropy(replace(held, longest=0.0), torch.zeros_like) == pytest.approx(held.losses["clean"])


def test_an_encoder_has_no_cross_entropy(held: HeldOut) -> None:
    reader = replace(held, loaded=replace(held.loaded, mute="an encoder"))
    measures = measure(saved(Made(16, 1.0)), reader)
    assert measures["fvu"] == 0 and not [name for name in measures if name.startswith("ce_")]


def test_nothing_to_lose_is_nothing_recovered(held: HeldOut) -> None:
    flat = replace(held, losses=dict.fromkeys(("clean", "zero", "mean"), held.losses["clean"]))
    measures = measure(saved(Made(16, 0.5)), flat)
    assert measures["ce_recovered_text"] is measures["ce_recovered"] is None
