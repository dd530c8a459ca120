"""One SAE in training: SAELens' trainer for it, and what is left of it on disk when a run is interrupted.

A checkpoint is SAELens' own (weights, optimiser, schedulers, scale), in a folder that appears whole under the number of
its step; the one before it is removed after that. Ctrl-C, kill -9 and a full disk lose the steps since then.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sae.source.stream import Place, name_of
from sae.training.config import SaeConfig
from sae.training.saved import hook_name
from toy.run.errors import InputError

WARM_UP, DECAY = 0.05, 0.2
"""Shares of the steps over which the learning rate rises, and falls."""
FORGOTTEN = 0.05
"""A latent that has not fired for this share of the steps counts as dead in the loss."""
MATRYOSHKA_PARTS = (8, 4, 2, 1)
"""Widths of the nested dictionaries: the width over each of these."""
STATE = "state.json"


@dataclass
class Run:
    """One SAE in training."""

    place: Place
    seed: int
    folder: Path
    """Where it will lie; its checkpoints lie beside it."""
    trainer: Any
    """SAELens' trainer, which knows its step."""
    key: str
    """Of everything that a checkpoint depends on."""
    read: int = 0
    """States that were made for it."""
    dropped: int = 0
    """Those that were left out for their norm."""

    @property
    def step(self) -> int:
        """Updates done."""
        return self.trainer.n_training_steps

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints, named by step."""
        return self.folder.with_name(f".{self.folder.name}.{self.key}.checkpoints")


def folder_of(config: SaeConfig, place: Place, seed: int) -> Path:
    """Where an SAE lies: `<layer>.<site>/seed<k>`."""
    return config.folder / name_of(place) / f"seed{seed}"


def new_run(config: SaeConfig, place: Place, seed: int, d_model: int, device: torch.device, key: str = "") -> Run:
    """An untrained SAE and its trainer.

    Raises:
        InputError: k is not below the width of the states: that would be no sparse code of them.
    """
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    if config.architecture in ("topk", "batchtopk", "matryoshka") and config.k >= d_model:
        raise InputError(f"k = {config.k} latents describe {d_model} numbers without being sparse: give a smaller --k")
    steps = config.steps
    state = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        sae = _untrained(config, place, d_model)
    finally:
        torch.set_rng_state(state)
    settings = SAETrainerConfig(
        total_training_samples=steps * config.batch,
        train_batch_size_samples=config.batch,
        lr=config.learning_rate,
        lr_end=config.learning_rate / 10,
        lr_warm_up_steps=round(WARM_UP * steps),
        lr_decay_steps=round(DECAY * steps),
        device=str(device),
        dead_feature_window=max(1, round(FORGOTTEN * steps)),
    )
    trainer = SAETrainer(settings, sae.to(device), iter(()))
    return Run(place, seed, folder_of(config, place, seed), trainer, key)


def checkpoint(run: Run) -> None:
    """Everything that the next step depends on; it appears whole, and the one before it is removed then.

    Raises:
        InputError: it cannot be written; the one before it is still there.
    """
    place, partial = run.checkpoints / str(run.step), run.checkpoints / f"{run.step}.partial"
    if place.exists():  # just resumed
        return
    state = {"read": run.read, "dropped": run.dropped}
    with writing(run.folder):
        try:
            run.trainer.save_checkpoint(partial.name, base_path=run.checkpoints)
            (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
            partial.replace(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    for other in run.checkpoints.iterdir():
        if other != place:
            shutil.rmtree(other)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn a full disk or a missing permission into an InputError; safetensors has an error of its own for it."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write {folder} ({reason}): free some space, the same command goes on") from error
    except RuntimeError as error:  # torch's archive writer reports a full disk so
        if "write" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        raise InputError(f"cannot write {folder} (disk full?): free some space, the same command goes on") from error


def resume(run: Run) -> None:
    """Go on from the last checkpoint, if there is one."""
    found = [path for path in run.checkpoints.glob("*") if path.name.isdigit()]
    last = max(found, key=lambda path: int(path.name), default=None)
    if last is None:
        return
    state = json.loads((last / STATE).read_text(encoding="utf-8"))
    run.read, run.dropped = state["read"], state["dropped"]
    run.trainer.load_trainer_state(last)
    run.trainer.sae.load_weights_from_checkpoint(last)


def _untrained(config: SaeConfig, place: Place, d_model: int) -> Any:
    """SAELens' training object of an architecture, by its name here."""
    import sae_lens
    from sae_lens.saes.sae import SAEMetadata

    sizes = {"d_in": d_model, "d_sae": config.width, "normalize_activations": "expected_average_only_in"}
    sizes["metadata"] = SAEMetadata(
        model_name=config.model, hook_name=hook_name(*place), context_size=config.context, prepend_bos=False
    )
    warm_up = round(WARM_UP * config.steps)
    # The threshold that a batch-wise TopK is saved with is a moving average that begins at 0: ten time constants.
    threshold = {"topk_threshold_lr": min(1.0, max(0.01, 10 / config.steps))}
    match config.architecture:
        case "topk":
            return sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(k=config.k, **sizes))
        case "batchtopk":
            return sae_lens.BatchTopKTrainingSAE(
                sae_lens.BatchTopKTrainingSAEConfig(k=float(config.k), **threshold, **sizes)
            )
        case "matryoshka":
            widths = sorted({max(1, config.width // part) for part in MATRYOSHKA_PARTS})
            return sae_lens.MatryoshkaBatchTopKTrainingSAE(
                sae_lens.MatryoshkaBatchTopKTrainingSAEConfig(
                    k=float(config.k), matryoshka_widths=widths, **threshold, **sizes
                )
            )
        case "jumprelu":
            return sae_lens.JumpReLUTrainingSAE(
                sae_lens.JumpReLUTrainingSAEConfig(l0_coefficient=config.sparsity, l0_warm_up_steps=warm_up, **sizes)
            )
        case "standard":
            return sae_lens.StandardTrainingSAE(
                sae_lens.StandardTrainingSAEConfig(l1_coefficient=config.sparsity, l1_warm_up_steps=warm_up, **sizes)
            )
