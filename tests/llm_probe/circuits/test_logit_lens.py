"""At the last block the lens is the model, with one norm; answers of several tokens are scored whole."""

import torch

from llm_probe.activations.answers import AnswerTree
from llm_probe.activations.behaviour import score
from llm_probe.circuits.logit_lens import lens, lens_rows, read_node
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import modular
from toy.networks.hooks import capture


def test_the_last_block_through_the_lens_is_the_model(loaded: LoadedModel) -> None:
    ids = torch.arange(10, 18)[None]
    states: dict[str, torch.Tensor] = {}
    with torch.inference_mode(), capture({"last": loaded.layers[-1]}, states.__setitem__):
        logits = loaded.model(input_ids=ids).logits[0, -1].double()
    tree = AnswerTree(((1,), (1, 3), (1, 5)))
    reading = read_node(loaded, states["last"][:, -1], tree, (1,))
    expected = logits.log_softmax(dim=-1)
    torch.testing.assert_close(reading.log_p[0, 0], expected[[1, 3, 5]], atol=1e-5, rtol=1e-5)
    others = torch.cat([expected[:3], expected[4:5], expected[6:]]).logsumexp(dim=-1)
    torch.testing.assert_close(reading.stop[0, 0], others, atol=1e-5, rtol=1e-5)


def test_two_token_answers_are_what_the_model_chooses(loaded: LoadedModel) -> None:
    claim = Claim(modular("add", 12), "sum")
    prompts = claim.prompts("confirmation", 30, 0)
    log_p = lens(loaded, prompts, claim.domain.items)
    assert bool((log_p.logsumexp(dim=-1) <= 1e-6).all())
    chosen = [one.chosen for one in score(loaded, prompts, claim.domain.items)]
    assert log_p[:, -1].argmax(dim=-1).tolist() == chosen


def test_the_reference_model_answers_in_its_last_block(loaded: LoadedModel) -> None:
    rows = [row for row in lens_rows(loaded, Claim(modular("add", 7), "sum"), 60, 0) if row.part == "all"]
    assert [row.layer for row in rows] == [0, 1, 2]
    assert rows[0].high < rows[2].low and rows[2].low > rows[2].chance >= 1 / 7
