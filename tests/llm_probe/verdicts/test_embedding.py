"""Where a circle comes from: planted in the embedding, behind it or nowhere, in made-up states and a small model."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers import AutoTokenizer, Qwen3Config, Qwen3ForCausalLM

from llm_probe import probe
from llm_probe.activations.streaming import Location, States
from llm_probe.models.loading import REFERENCE_FOLDER
from llm_probe.questions.claims import Claim, Labels
from llm_probe.questions.domains import DOMAINS, MONTHS
from llm_probe.run.result import ProbeResult
from llm_probe.run.vocabulary import EMBEDDING
from llm_probe.statistics.planes import circles
from llm_probe.statistics.renaming import rename
from llm_probe.verdicts.embedding import EmbeddingPlane, apart, origin
from llm_probe.verdicts.evidence import Evidence, gather

CLAIM = Claim(DOMAINS["months"], "item")
CELLS: tuple[Location, ...] = tuple((layer, "resid_post", "item") for layer in (EMBEDDING, 0, 1))
D_MODEL = 20


def labels_of(part: str) -> Labels:
    return Labels.of(CLAIM, CLAIM.prompts(part, 0, 0))  # type: ignore[arg-type]


def made_up(circle_in: tuple[int, ...], *, constant: bool = False) -> States:
    """An identity for each item, the same in every cell but the embedding's own, and a circle in some of the cells."""
    generator = torch.Generator().manual_seed(0)
    identity = torch.randn(2, CLAIM.period, D_MODEL, generator=generator) * 0.3

    def states(labels: Labels) -> Tensor:
        made = torch.empty(len(labels.label), len(CELLS), D_MODEL)
        for cell, (layer, *_) in enumerate(CELLS):
            made[:, cell] = identity[int(layer != EMBEDDING)][labels.label]
            made[:, cell, 4:6] += 2.0 * (layer in circle_in) * circles(labels.label, (1,), CLAIM.period).float()
        made[:, 1:] += 0.1 * torch.randn(len(labels.label), 2, D_MODEL, generator=generator)
        if constant:  # but for a position, as a model with positional embeddings has it
            made[:, 0] = labels.template[:, None].float()
        return made

    discovery, confirmation = states(labels_of("discovery")), states(labels_of("confirmation"))
    return States(CELLS, discovery, confirmation, None)


def gathered(states: States) -> Evidence:
    labels = labels_of("discovery")
    kinds = [0] * CLAIM.period
    renamed = rename(CLAIM, labels, kinds, 199, 0)
    return gather(CLAIM, "trained", states, labels, labels_of("confirmation"), renamed, kinds, seed=0)


def test_a_circle_in_the_embedding_and_behind_it() -> None:
    evidence = gathered(made_up((EMBEDDING, 0, 1)))
    plane = evidence.embedding
    assert plane is not None and plane.r2 > 0.9 and plane.angle_error < 0.3
    assert plane.p_renaming == pytest.approx(1 / 200)
    assert origin("item", evidence.chosen.p_renaming, plane) == "embedding"
    # It is not what is judged, and its rows stand beside the others.
    assert evidence.location[0] >= 0 and EMBEDDING not in evidence.layers_beating_null
    planes = [row for row in evidence.rows["r2_table"] if row.layer == EMBEDDING]
    assert [(row.unit, row.family) for row in planes] == [("plane", "fourier"), ("plane", "quadratic")]
    assert [row.label for row in evidence.rows["circles"] if row.layer == EMBEDDING] == list(range(12))
    assert Evidence.of_content(evidence.content()).embedding == plane


def test_a_circle_that_only_the_blocks_have() -> None:
    evidence = gathered(made_up((0, 1)))
    assert evidence.embedding is not None and evidence.embedding.p_renaming > 0.05
    assert origin("item", evidence.chosen.p_renaming, evidence.embedding) == "blocks"


def test_an_embedding_alone_shows_nothing() -> None:
    """The embedding takes no part in the choice: a circle that no block has kept is not judged."""
    evidence = gathered(made_up((EMBEDDING,)))
    assert evidence.embedding is not None and evidence.embedding.p_renaming <= 0.01
    assert evidence.chosen.p_renaming > 0.05
    assert origin("item", evidence.chosen.p_renaming, evidence.embedding) is None


def test_the_blocks_are_judged_as_if_the_embedding_had_not_been_read() -> None:
    states = made_up((EMBEDDING, 0))
    blocks, embedded = apart(states)
    assert embedded is not None and (blocks.cells, embedded.cells) == (CELLS[1:], CELLS[:1])
    assert blocks.discovery.data_ptr() == states.discovery[:, 1:].data_ptr()  # no copy
    with_it, without = gathered(states), gathered(blocks)
    assert without.embedding is None and origin("item", without.chosen.p_renaming, None) is None
    for name in ("location", "chosen", "confirmation", "closure", "layers_beating_null"):
        assert getattr(with_it, name) == getattr(without, name)
    kept = [row for row in with_it.rows["r2_table"] if row.layer != EMBEDDING]
    assert kept == list(without.rows["r2_table"])


def test_an_embedding_that_all_items_share_has_nothing() -> None:
    """The last token of "first grade", "second grade", … is one and the same."""
    evidence = gathered(made_up((0, 1), constant=True))
    assert evidence.embedding == EmbeddingPlane(0.0, 1.0, math.pi / 2)
    assert origin("item", evidence.chosen.p_renaming, evidence.embedding) == "blocks"


@pytest.mark.parametrize(
    ("quantity", "p", "embedding_p", "expected"),
    [
        ("item", 0.005, 0.005, "embedding"),
        ("item", 0.005, 0.2, "blocks"),
        ("item", 0.2, 0.005, None),
        ("item", 0.005, None, None),  # not read
        ("sum", 0.005, None, "blocks"),  # no token holds a sum
        ("sum", 0.2, None, None),
    ],
)
def test_the_word(quantity, p: float, embedding_p: float | None, expected: str | None) -> None:
    plane = None if embedding_p is None else EmbeddingPlane(0.5, embedding_p, 0.3)
    assert origin(quantity, p, plane) == expected


def small_model(radius: float) -> ProbeResult:
    """The verdicts on months in a random Qwen3 of two layers, its embedding with a circle of this radius."""
    words = AutoTokenizer.from_pretrained(REFERENCE_FOLDER)
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(words), num_hidden_layers=2, head_dim=8, **sizes)).eval()
    table = model.get_input_embeddings().weight.data
    for index, month in enumerate(MONTHS):
        (token,) = words.encode(" " + month, add_special_tokens=False)
        angle = 2 * math.pi * index / len(MONTHS)
        table[token, 3:5] += radius * torch.tensor([math.cos(angle), math.sin(angle)])
    months = replace(DOMAINS["months"], questions={})
    return probe(model, words, [months], renamings=199, behaviour=False)


def test_a_circle_planted_in_the_embedding_of_a_model_is_named() -> None:
    result = small_model(radius=0.3)
    claim = result.verdicts.iloc[0]
    assert (claim["origin"], claim["layer"]) in {("embedding", 0), ("embedding", 1)}
    assert claim["embedding_r2"] > 0.8 and claim["embedding_p"] == pytest.approx(1 / 200)
    assert "in the embedding" in str(result)
    rows = result.table.query(f"layer == {EMBEDDING} and family == 'fourier'").set_index("weights")
    assert rows.loc["trained", "p_fwer"] <= 0.01 and rows.loc["random", "p_fwer"] > 0.05
    # The random blocks have the trained embeddings, and are a control of what lies behind the blocks.
    controls = result.frames["controls"].set_index("control")
    assert controls.loc["random_blocks", "layer"] >= 0 and controls.loc["random_blocks", "r2"] > 0.5


def test_a_random_embedding_holds_none() -> None:
    claim = small_model(radius=0.0).verdicts.iloc[0]
    assert claim["origin"] is None and claim["embedding_p"] > 0.01
