"""States from arrays and files: every format gives the same tensor, and what is no states is one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Array2D, Dataset, Features, Sequence, Value
from safetensors.torch import save_file

from llm_probe.activations.stored import stored_states
from toy.run.errors import InputError

STATES = torch.arange(24, dtype=torch.float32).view(4, 2, 3)


def test_arrays_become_one_tensor() -> None:
    assert torch.equal(stored_states(STATES), STATES)
    assert torch.equal(stored_states(STATES.numpy()), STATES)
    assert torch.equal(stored_states(STATES[:, 0].double()), STATES[:, :1])
    assert torch.equal(stored_states(STATES.bfloat16()), STATES)
    assert torch.equal(stored_states(STATES.numpy()[::-1]), STATES.flip(0))


def test_files_of_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STATES.numpy())
    np.savez(tmp_path / "b.npz", states=STATES.numpy(), labels=np.arange(4))
    save_file({"anything": STATES.contiguous()}, tmp_path / "c.safetensors")
    for name in ("a.npy", "b.npz", "c.safetensors"):
        assert torch.equal(stored_states(tmp_path / name), STATES)
    assert torch.equal(stored_states(str(tmp_path / "a.npy")), STATES)


def test_shards_are_read_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for number, rows in zip((2, 9, 10), STATES.split((1, 1, 2)), strict=True):
        np.save(tmp_path / f"shard_{number}.npy", rows.numpy())
    (tmp_path / "readme.txt").write_text("mine")
    assert torch.equal(stored_states(tmp_path), STATES)


def test_of_a_prompt_with_its_tokens_the_last_one_is_read(tmp_path: Path) -> None:
    for number, row in enumerate(STATES):
        tokens = torch.stack([torch.zeros_like(row)] * number + [row])
        save_file({"hidden_states": tokens, "token_ids": torch.arange(number + 1)}, tmp_path / f"{number}.safetensors")
    assert torch.equal(stored_states(tmp_path), STATES)


def test_a_saved_dataset_has_a_prompt_a_row(tmp_path: Path) -> None:
    """As SAELens caches activations: a column called by its hook, (tokens, d) for each prompt."""
    features = Features({"blocks.0.hook_resid_post": Array2D((2, 3), "float32"), "token_ids": Sequence(Value("int32"))})
    rows = {"blocks.0.hook_resid_post": STATES.numpy(), "token_ids": np.zeros((4, 2), dtype=np.int32)}
    Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "cached")
    assert torch.equal(stored_states(tmp_path / "cached"), STATES[:, 1:])


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (np.zeros((4, 3), dtype=int), r"int64 of shape \(4, 3\): give floating-point numbers"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.array([["a", "b"]]), "an array of <U1 holds no states"),
        (np.zeros((0, 3)), r"shape \(0, 3\)"),
        (torch.tensor([[1.0], [float("nan")]]), "not finite in 1 of 2 rows, row 1 first"),
        ("nowhere.npy", "cannot read states from nowhere.npy: give an existing .npy, .npz, .safetensors file"),
    ],
)
def test_what_is_no_states_is_said(states: np.ndarray | torch.Tensor | str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        stored_states(states)


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "several.npz", a=STATES.numpy(), b=STATES.numpy())
    (tmp_path / "broken.safetensors").write_bytes(b"no")
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    for number in (1, 2):
        np.save(tmp_path / "odd" / f"{number}.npy", np.zeros((2, number)))
    messages = {
        "objects.npy": "without pickle",
        "several.npz": "holds a, b: call the states `states`",
        "broken.safetensors": "cannot read states from",
        "empty": "holds no shard",
        "odd": r"shards of different shapes, \(1,\) and \(2,\)",
    }
    for name, message in messages.items():
        with pytest.raises(InputError, match=message):
            stored_states(tmp_path / name)
