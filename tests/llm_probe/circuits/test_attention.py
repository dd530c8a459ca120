"""Roles cover every token of an operand, and controls change nothing else."""

import torch

from llm_probe.circuits.attention import attention, attention_rows, eager, places_of, replaced
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import modular
from llm_probe.questions.prompts import question
from llm_probe.questions.tokens import encode


def test_a_role_is_all_tokens_of_its_number(loaded: LoadedModel) -> None:
    prompt = question(modular("add", 23), "published", 45, 67)
    (row,) = encode(loaded.tokenizer, [prompt])
    places = places_of(loaded.tokenizer, prompt, row)
    spelled = {role: [loaded.tokenizer.decode([row.ids[place]]) for place in at] for role, at in places.items()}
    assert spelled == {"item": ["4", "5"], "offset": ["6", "7"], "modulus": ["2", "3"], "first": ["4"]}


def test_attention_to_everything_is_one_and_the_kernel_comes_back(loaded: LoadedModel) -> None:
    before = loaded.model.config._attn_implementation
    ids = [list(range(5, 12)), list(range(20, 25))]
    seen, top = attention(loaded, ids, [[list(range(len(row))), [0]] for row in ids])
    assert seen.shape == (2, len(loaded.layers), 4, 2)
    torch.testing.assert_close(seen[..., 0], torch.ones_like(seen[..., 0]))
    assert bool((top < torch.tensor([7, 5])[:, None, None]).all())
    with eager(loaded.model):
        assert loaded.model.config._attn_implementation == "eager"
    assert loaded.model.config._attn_implementation == before


def test_a_control_changes_its_own_places_only() -> None:
    ids = [[1, 2, 3, 4, 9], [5, 6, 3, 7, 9]]
    changed = replaced(ids, [[1], [0, 1]], [{1}, {0, 1}], seed=0)
    assert [[a != b for a, b in zip(*pair, strict=True)] for pair in zip(ids, changed, strict=True)] == [
        [False, True, False, False, False],
        [True, True, False, False, False],
    ]
    assert {changed[0][1], *changed[1][:2]} <= {1, 3, 4, 7}


def test_the_reference_model_reads_its_modulus_by_content(loaded: LoadedModel) -> None:
    rows = attention_rows(loaded, Claim(modular("add", 23), "sum"), 40, 0)
    assert len(rows) == len(loaded.layers) * 4 * 4
    best = max((row for row in rows if row.role == "modulus"), key=lambda row: row.difference)
    assert best.difference > best.half_width and best.most_attended == "modulus"
