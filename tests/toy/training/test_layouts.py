"""Checkpoints in three layouts: each is written by hand, run by its own code's products, and read into our network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from toy.config import PRESETS, ToyConfig
from toy.networks.model import MLP, Transformer, build
from toy.networks.tasks import split, table
from toy.run.errors import InputError
from toy.training.layouts import load_checkpoint, stored_losses
from toy.training.runs import Run

P = 11
CONFIG = ToyConfig(modulus=P, d_model=12, n_heads=3, d_mlp=20, seed=5)
PAIRS = table("add", P).operands
Stored = dict[str, Any]


def random_network(config: ToyConfig) -> Transformer:
    """A network with random weights in every place, the biases too."""
    network = build(config).requires_grad_(False)
    assert isinstance(network, Transformer)
    generator = torch.Generator().manual_seed(9)
    for weight in network.parameters():
        weight.copy_(torch.randn(weight.shape, generator=generator) / 3)
    return network


def nanda(network: Transformer) -> Stored:
    """Maps as (out, in), the heads of W_O side by side."""
    stored = {"embed.W_E": network.W_E.T, "pos_embed.W_pos": network.W_pos, "unembed.W_U": network.W_U}
    for index, block in enumerate(network.blocks):
        for name in ("W_Q", "W_K", "W_V"):
            stored[f"blocks.{index}.attn.{name}"] = getattr(block.attn, name).transpose(1, 2)
        stored[f"blocks.{index}.attn.W_O"] = torch.cat(list(block.attn.W_O), dim=0).T
        stored[f"blocks.{index}.attn.mask"] = torch.tensor([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]])
        stored[f"blocks.{index}.mlp.W_in"], stored[f"blocks.{index}.mlp.W_out"] = block.mlp.W_in.T, block.mlp.W_out.T
        stored[f"blocks.{index}.mlp.b_in"], stored[f"blocks.{index}.mlp.b_out"] = block.mlp.b_in, block.mlp.b_out
    return {name: weight.detach().clone() for name, weight in stored.items()}


def nanda_logits(stored: Stored) -> Tensor:
    """That code's forward in its own index order, at the last of (a, b, =)."""
    tokens = torch.cat([PAIRS, torch.full((len(PAIRS), 1), P)], dim=1)
    x = stored["embed.W_E"][:, tokens].permute(1, 2, 0) + stored["pos_embed.W_pos"]
    for index in range(sum("W_Q" in name for name in stored)):
        at = {name.split(".")[-1]: weight for name, weight in stored.items() if name.startswith(f"blocks.{index}.")}
        keys, queries, values = (torch.einsum("ihd,bpd->biph", at[name], x) for name in ("W_K", "W_Q", "W_V"))
        scores = torch.einsum("biph,biqh->biqp", keys, queries) / keys.shape[-1] ** 0.5
        pattern = (scores.tril() - 1e10 * (1 - at["mask"])).softmax(-1)
        mixed = torch.einsum("biph,biqp->biqh", values, pattern)
        x = x + torch.einsum("df,bqf->bqd", at["W_O"], mixed.transpose(1, 2).flatten(2))
        neurons = (torch.einsum("md,bpd->bpm", at["W_in"], x) + at["b_in"]).relu()
        x = x + torch.einsum("dm,bpm->bpd", at["W_out"], neurons) + at["b_out"]
    return x[:, -1] @ stored["unembed.W_U"]


def unixsysdev(network: Transformer) -> Stored:
    """Torch's embeddings and linear layers, the heads' maps acting from the right."""
    attn, mlp = network.last.attn, network.last.mlp
    stored = {"token_embed.weight": network.W_E, "pos_embed.weight": network.W_pos, "unembed.weight": network.W_U.T}
    stored |= {name: getattr(attn, name) for name in ("W_Q", "W_K", "W_V", "W_O")}
    stored |= {"W_in.weight": mlp.W_in.T, "W_in.bias": mlp.b_in, "W_out.weight": mlp.W_out.T, "W_out.bias": mlp.b_out}
    return {name: weight.detach().clone() for name, weight in stored.items()}


def unixsysdev_logits(stored: Stored) -> Tensor:
    """That code's forward, without a mask: the last of (a, b, =) reads all three anyway."""
    tokens = torch.cat([PAIRS, torch.full((len(PAIRS), 1), P)], dim=1)
    x = torch.nn.functional.embedding(tokens, stored["token_embed.weight"]) + stored["pos_embed.weight"]
    query, key, value = (torch.einsum("bsd,hdk->bhsk", x, stored[name]) for name in ("W_Q", "W_K", "W_V"))
    pattern = (torch.einsum("bhsk,bhtk->bhst", query, key) / query.shape[-1] ** 0.5).softmax(-1)
    x = x + torch.einsum("bhsk,hkd->bsd", torch.einsum("bhst,bhtk->bhsk", pattern, value), stored["W_O"])
    neurons = torch.nn.functional.linear(x, stored["W_in.weight"], stored["W_in.bias"]).relu()
    x = x + torch.nn.functional.linear(neurons, stored["W_out.weight"], stored["W_out.bias"])
    return x[:, 2] @ stored["unembed.weight"].T


def losses(logits: Tensor, fraction: float, seed: int, rule: Any) -> tuple[float, float]:
    """Training and test cross-entropy of a published split, in float64."""
    answers = PAIRS.sum(1) % P
    train, test = split(P * P, fraction, seed, rule)
    return tuple(float(cross_entropy(logits[rows].double(), answers[rows])) for rows in (train, test))  # type: ignore[return-value]


Writer = Callable[..., Path]


@pytest.fixture
def nanda_file(tmp_path: Path) -> Writer:
    """A file of Nanda et al.: its losses are those of the split of seed 3 with 40 % to train on."""

    def write(config: ToyConfig = CONFIG, told: Stored | None = None, **changed: Any) -> Path:
        stored = nanda(random_network(replace(config, equals_logit=True)))
        train, test = losses(nanda_logits(stored), 0.4, 3, "nanda")
        content = {"model": stored | changed, "train_losses": [9.0, train], "test_losses": [9.0, test]}
        content["config"] = {"p": P, "d_model": 12, "frac_train": 0.4, "seed": 3, "lr": 1e-3} if told is None else told
        content["model"] = {name: weight for name, weight in content["model"].items() if weight is not None}
        torch.save(content, tmp_path / "run.pth")
        return tmp_path / "run.pth"

    return write


@pytest.fixture
def unixsysdev_file(tmp_path: Path) -> Writer:
    """A file of unixsysdev, with its configuration or without."""

    def write(*, told: bool = True, **changed: Any) -> Path:
        stored = unixsysdev(random_network(CONFIG))
        train, test = losses(unixsysdev_logits(stored), 0.3, 42, "torch")
        content: Stored = {"model_state_dict": stored | changed, "epoch": 700}
        content["history"] = {"epoch": [0, 700], "train_loss": [9.0, train], "test_loss": [9.0, test]}
        if told:
            content["config"] = {"p": P, "d_model": 12, "n_heads": 3, "d_mlp": 20, "train_frac": 0.3, "lr": 2e-3,
                                 "weight_decay": 1.0}  # fmt: skip
        content["model_state_dict"] = {name: w for name, w in content["model_state_dict"].items() if w is not None}
        torch.save(content, tmp_path / "checkpoint_000700.pt")
        return tmp_path / "checkpoint_000700.pt"

    return write


@pytest.mark.parametrize("n_layers", [1, 2])
def test_nandas_layout_gives_the_same_logits(nanda_file: Writer, n_layers: int) -> None:
    config = replace(CONFIG, n_layers=n_layers)
    network, given, step = load_checkpoint(nanda_file(config))
    expected = nanda_logits(nanda(random_network(replace(config, equals_logit=True))))
    torch.testing.assert_close(network(PAIRS), expected, atol=1e-5, rtol=0)
    assert expected.shape == (P * P, P + 1)
    assert (given.modulus, given.d_model, given.n_heads, given.d_mlp, given.n_layers) == (P, 12, 3, 20, n_layers)
    assert (given.split, given.equals_logit, given.seed, given.train_fraction) == ("nanda", True, 3, 0.4)
    assert (given.task, given.learning_rate, step) == ("add", 1e-3, None)


@pytest.mark.parametrize("told", [True, False])
def test_unixsysdevs_layout_gives_the_same_logits(unixsysdev_file: Writer, told: bool) -> None:
    network, given, step = load_checkpoint(unixsysdev_file(told=told))
    torch.testing.assert_close(network(PAIRS), unixsysdev_logits(unixsysdev(random_network(CONFIG))), atol=1e-5, rtol=0)
    assert (given.modulus, given.d_model, given.n_heads, given.d_mlp) == (P, 12, 3, 20)
    assert (given.split, given.equals_logit, given.seed, step) == ("torch", False, 42, 700)
    assert given.learning_rate == (2e-3 if told else PRESETS["published-004"].learning_rate)


def test_the_stored_losses_are_reproduced(nanda_file: Writer, unixsysdev_file: Writer) -> None:
    for path in (nanda_file(), unixsysdev_file()):
        network, config, _ = load_checkpoint(path)
        train, test = losses(network(PAIRS), config.train_fraction, config.seed, config.split)
        assert stored_losses(path) == pytest.approx({"train_loss": train, "test_loss": test}, abs=1e-5)
    path = nanda_file(told={})
    expected = stored_losses(path)
    network, config, _ = load_checkpoint(path, split_seed=3, train_frac=0.4)
    assert losses(network(PAIRS), config.train_fraction, config.seed, config.split) == pytest.approx(
        tuple(expected.values()), abs=1e-5
    )
    network, config, _ = load_checkpoint(path)  # what the published code takes where it is told nothing
    assert (config.seed, config.train_fraction) == (0, 0.3)
    assert abs(losses(network(PAIRS), 0.3, 0, "nanda")[1] - expected["test_loss"]) > 1e-3


@pytest.mark.parametrize("architecture", ["transformer", "mlp"])
def test_our_own_file_and_run_directory(architecture: Any, tmp_path: Path) -> None:
    config = ToyConfig(task="multiply", modulus=P, architecture=architecture, d_model=8, d_mlp=16, n_heads=2)
    first, last = build(config), build(replace(config, seed=1))
    run = Run(tmp_path, config)
    run.write_checkpoint(0, first.state_dict())
    run.write_checkpoint(200, last.state_dict())
    (tmp_path / "config.json").write_text("{}")
    for path, network, step in ((run.checkpoints()[0], first, 0), (tmp_path, last, 200)):
        read, given, at = load_checkpoint(path)
        assert isinstance(read, MLP if architecture == "mlp" else Transformer)
        torch.testing.assert_close(dict(read.state_dict()), dict(network.state_dict()), rtol=0, atol=0)
        assert (given, at) == (config, step)
    assert load_checkpoint(tmp_path, task="multiply")[1] == config
    with pytest.raises(InputError, match="trained on the task 'multiply', not on 'add': ask for 'multiply'"):
        load_checkpoint(tmp_path, task="add")


def test_the_task_a_file_tells_is_the_only_one(nanda_file: Writer) -> None:
    assert load_checkpoint(nanda_file(told={}), task="subtract")[1].task == "subtract"
    assert load_checkpoint(nanda_file(told={"fn_name": "x2xyy2"}))[1].task == "quadratic"
    with pytest.raises(InputError, match="trained on the task 'subtract', not on 'add'"):
        load_checkpoint(nanda_file(told={"fn_name": "subtract"}), task="add")
    with pytest.raises(InputError, match="trained on 'rand', which is none of the tasks add, "):
        load_checkpoint(nanda_file(told={"fn_name": "rand"}))
    with pytest.raises(InputError, match="unknown task 'divine'"):
        load_checkpoint(nanda_file(told={}), task="divine")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"embed.W_E": None}, "its key `embed.W_E` is missing"),
        ({"blocks.0.mlp.b_in": None}, "its key `blocks.0.mlp.b_in` is missing"),
        ({"blocks.0.ln1.w": torch.ones(12)}, "has nothing like its key `blocks.0.ln1.w`"),
        ({"embed.W_E": torch.ones(12)}, "`embed.W_E` has the shape (12), expected (d_model, tokens)"),
        ({"pos_embed.W_pos": torch.ones(4, 12)}, "has the shape (4, 12), expected (3, 12), which is (positions, d_m"),
        (
            {"blocks.0.attn.W_K": torch.ones(3, 12, 4)},
            "`blocks.0.attn.W_K` has the shape (3, 12, 4), expected (3, 4, 12)",
        ),
        ({"blocks.0.attn.W_O": torch.ones(3, 4, 12)}, "expected (12, 12), which is (d_model, heads*d_head)"),
        ({"unembed.W_U": torch.ones(12, 11)}, "`unembed.W_U` has the shape (12, 11), expected (12, 12)"),
        ({"unembed.W_U": "words"}, "`unembed.W_U` is a str, expected (12, 12)"),
        ({"blocks.0.attn.mask": torch.ones(3, 3)}, "attends to later tokens (`blocks.0.attn.mask`)"),
    ],
)
def test_a_file_that_is_another_network_is_refused(changed: Stored, message: str, nanda_file: Writer) -> None:
    with pytest.raises(InputError) as refused:
        load_checkpoint(nanda_file(**changed))
    assert message in str(refused.value)


def test_wrong_shapes_of_the_other_layout(unixsysdev_file: Writer) -> None:
    with pytest.raises(InputError, match=r"`unembed.weight` has the shape \(12, 12\), expected \(11, 12\)"):
        load_checkpoint(unixsysdev_file(**{"unembed.weight": torch.ones(12, 12)}))
    with pytest.raises(InputError, match=r"its key `W_in\.bias` is missing"):
        load_checkpoint(unixsysdev_file(**{"W_in.bias": None}))


def test_a_configuration_that_contradicts_the_tensors_is_refused(nanda_file: Writer) -> None:
    with pytest.raises(InputError, match="its config says p = 97, but its tensors have 11"):
        load_checkpoint(nanda_file(told={"p": 97}))
    with pytest.raises(InputError, match="has GeLU neurons"):
        load_checkpoint(nanda_file(told={"act_type": "GeLU"}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"weights": {}, "epoch": 3}, "lacks the keys `layout` (this project), `model` (Nanda et al.), "
                                      "`model_state_dict` (unixsysdev) and has `weights`, `epoch`"),
        ({"model": torch.ones(3)}, "lacks the keys"),
        ([1, 2], "holds a list and no checkpoint"),
        ({"layout": "grid", "model": {}}, "its `layout` is 'grid', not 'toy'"),
        ({"layout": "toy", "model": {}}, "its key `config` is missing"),
        ({"layout": "toy", "config": {}, "model": {}}, "its key `W_E` is missing"),
        ({"layout": "toy", "config": {"colour": 1}, "model": {}}, "names 'colour', which is no field"),
        ({"model": {"embed.W_E": torch.ones(2, 3)}, "by": print}, "cannot be read as a checkpoint of plain tensors"),
    ],
)  # fmt: skip
def test_other_files_are_refused_in_a_sentence(content: Any, message: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(InputError) as refused:
        load_checkpoint(tmp_path / "x.pt")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_our_own_file_with_a_wrong_shape_is_refused(tmp_path: Path) -> None:
    run = Run(tmp_path, CONFIG)
    run.write_checkpoint(1, build(CONFIG).state_dict() | {"W_U": torch.ones(12, 7)})
    with pytest.raises(InputError, match=r"`W_U` has the shape \(12, 7\), expected \(12, 11\)"):
        load_checkpoint(run.checkpoints()[1])


def test_what_is_no_checkpoint_at_all(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("nothing")
    for path, message in (
        (tmp_path / "nowhere.pt", "there is no checkpoint"),
        (tmp_path / "notes.pt", "cannot be read as a checkpoint"),
        (tmp_path, "is no run directory"),
    ):
        with pytest.raises(InputError, match=message):
            load_checkpoint(path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="holds no checkpoint yet"):
        load_checkpoint(tmp_path)
