"""The networks: what they put out is what their parts say, and nothing looks ahead."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from toy.config import ToyConfig
from toy.networks.hooks import capture
from toy.networks.model import MLP, Transformer, build
from toy.networks.tasks import table
from toy.run.errors import InputError

SMALL = ToyConfig(modulus=7, d_model=8, n_heads=2, d_mlp=12)
ROWS = table("add", 7).operands


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, n_layers=2), replace(SMALL, equals_logit=True)])
def test_the_logits_are_the_stream_and_what_neurons_write(config: ToyConfig) -> None:
    network = build(config).requires_grad_(False)
    assert isinstance(network, Transformer)
    streams = {}
    with capture({str(place): block.attn for place, block in enumerate(network.blocks)}, streams.__setitem__):
        out = network(ROWS)
    before = network.embed(ROWS)
    for place, block in enumerate(network.blocks):
        after_attention = before + streams[str(place)]
        before = after_attention + block.mlp(after_attention)
    written = network.neurons(ROWS) @ network.W_L
    rest = (after_attention[:, -1] + network.last.mlp.b_out) @ network.unembedding
    torch.testing.assert_close(written + rest, out[:, :7])
    assert network.unembedding.shape == (8, 7) and network.embedding.shape == (7, 8)


def test_attention_is_a_distribution_over_what_came_before() -> None:
    network = build(SMALL)
    assert isinstance(network, Transformer)
    torch.testing.assert_close(network.attention(ROWS).sum(-1), torch.ones(49, 2))
    first = network.blocks[0].attn.pattern(network.embed(ROWS))
    assert (first.triu(1) == 0).all()


def test_a_query_of_zero_reads_the_mean() -> None:
    network = build(SMALL).requires_grad_(False)
    assert isinstance(network, Transformer)
    network.blocks[0].attn.W_Q.zero_()
    x = network.embed(ROWS)
    mean = torch.stack([x[:, : place + 1].mean(1) for place in range(3)], dim=1)
    attention = network.blocks[0].attn
    expected = sum(mean @ attention.W_V[head] @ attention.W_O[head] for head in range(2))
    torch.testing.assert_close(attention(x), expected)


def test_the_mlp_by_hand() -> None:
    network = build(replace(SMALL, architecture="mlp", activation="square")).requires_grad_(False)
    assert isinstance(network, MLP)
    hidden = network.W_E[2] @ network.W_in[0] + network.W_E[5] @ network.W_in[1]
    out = network(torch.tensor([[2, 5]]))
    torch.testing.assert_close(out[0], hidden.square() @ network.W_L)


def test_weights_are_a_function_of_the_seed() -> None:
    torch.manual_seed(5)
    one, other = build(SMALL).state_dict(), build(SMALL).state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not torch.equal(one["W_E"], build(replace(SMALL, seed=1)).state_dict()["W_E"])


@pytest.mark.parametrize(("change", "message"), [({"n_heads": 3}, "multiple"), ({"d_mlp": 0}, "1 or more")])
def test_sizes_that_do_not_fit(change: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build(replace(SMALL, **change))
