"""Training with SAELens: every layer and every seed from one pass over one stream of states.

    x' = c x,  c = sqrt(d) / mean |x|                             so that learning rates mean the same in every layer
    f  = TopK(W_enc (x' - b_dec) + b_enc)                         width latents, k of them kept     (n, width)
    x^ = f W_dec + b_dec                                          rows of W_dec are features        (n, d)
    loss = |x' - x^|² + the residual predicted by latents that have not fired for a while (Gao et al. 2024, 2406.04093)

The step, its optimiser and its losses are SAELens' own (`SAETrainer.step`); this file decides which batch goes to which
trainer. c is estimated on the first block, where b_dec also begins as the mean, and is folded into the weights at the
end: a saved SAE reads states as the model makes them. What is measured is measured on the file, read back.

All SAEs of a run take step t together, because they share the stream: L layers and S seeds cost one forward pass.
Each has its own checkpoints, SAELens' own (weights, optimiser, schedulers, scale), written at the end of a block into a
folder that appears whole under the number of its step; the previous one is removed after that. Ctrl-C, kill -9 and a
full disk lose the steps since then, and a resumed SAE joins in at its own step.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from llm_probe.models.loading import LoadedModel, check_layers, load, weights_fingerprint
from sae.config import SaeConfig, check
from sae.source.sources import source_of, task_share
from sae.source.stream import Place, Stream, name_of
from sae.training.evaluate import HeldOut, held_out, measure
from sae.training.saved import RECORD, hook_name, load_sae, record_of
from toy.run.cells import check_writable
from toy.run.device import without_denormals
from toy.run.errors import InputError, is_out_of_memory
from toy.run.files import flush

CHECKPOINT_SECONDS = 60.0
COMPARED = 4096
"""States on which the reloaded SAE is compared with the trained one."""
WARM_UP, DECAY = 0.05, 0.2
"""Shares of the steps over which the learning rate rises, and falls."""
FORGOTTEN = 0.05
"""A latent that has not fired for this share of the steps counts as dead in the loss."""
MATRYOSHKA_PARTS = (8, 4, 2, 1)
"""The nested dictionaries have the full width divided by each of these."""
STATE = "state.json"

Batches = Callable[[int], dict[Place, torch.Tensor]]
"""Step to the batch of every place."""


@dataclass
class Run:
    """One SAE in training."""

    place: Place
    seed: int
    folder: Path
    """Where the SAE will be saved; its checkpoints are kept beside it."""
    trainer: Any
    """SAELens' trainer, which knows its step."""
    key: str
    """Hash of everything that a checkpoint depends on."""
    read: int = 0
    """Number of states that were computed for it."""
    dropped: int = 0
    """Number of those that were left out because of their norm."""

    @property
    def step(self) -> int:
        """Number of steps that are done."""
        return self.trainer.n_training_steps

    @property
    def checkpoints(self) -> Path:
        """The folder of its checkpoints, which are named by step."""
        return self.folder.with_name(f".{self.folder.name}.{self.key}.checkpoints")


def train(
    config: SaeConfig, command: str = "", on_step: Callable[[int, int], Any] = lambda done, steps: None
) -> list[dict[str, Any]]:
    """Train every SAE of a configuration that is not on disk yet; the content of every training.json, in order.

    `on_step(done, steps)` is called with the progress of the slowest SAE.

    Raises:
        InputError: a setting is impossible (before anything is trained), or a folder cannot be written.
    """
    check(config)
    check_writable(config.folder)
    loaded = load(
        config.model, revision=config.revision, dtype=config.dtype, device=config.device,
        trust_remote_code=config.trust_remote_code, random_weights=config.weights == "random",
        seed=config.weights_seed,
    )  # fmt: skip
    layers = config.layers or tuple(range(len(loaded.layers)))
    check_layers(loaded, layers)
    fingerprint = weights_fingerprint(loaded.model)
    key = config.hash(fingerprint=fingerprint)
    members: list[tuple[Place, int]] = [
        ((layer, site), seed) for layer in layers for site in config.site for seed in config.seeds
    ]
    missing = [(place, seed) for place, seed in members if not _is_trained(folder_of(config, place, seed), key)]
    if missing:
        runs = [new_run(config, place, seed, loaded.d_model, loaded.device, key) for place, seed in missing]
        stream = stream_of(config, loaded, sorted({place for place, _ in missing}))
        started = time.monotonic()
        fit(config, runs, stream, on_step=on_step, every=CHECKPOINT_SECONDS)
        record = {
            "model": loaded.name,
            "revision": loaded.revision,
            "weights": loaded.weights,
            "weights_fingerprint": fingerprint,
            "config": json.loads(json.dumps(asdict(config), default=str)),
            "configuration_hash": key,
            "steps": config.steps,
            "tokens": config.steps * config.batch,
            "task_share": task_share(config),
            "command": command,
            "versions": {name: version(name) for name in ("sae-lens", "torch", "transformers")},
            "seconds": round(time.monotonic() - started, 1),
        }
        held = held_out(config, loaded, stream)
        for run in runs:
            _save(run, record, held[run.place])
    return [record_of(folder_of(config, place, seed)) or {} for place, seed in members]


def stream_of(config: SaeConfig, loaded: LoadedModel, places: Sequence[Place]) -> Stream:
    """The states that a configuration trains on."""
    source = source_of(config, loaded)
    return Stream(loaded, source, places, config.batch, config.buffer_tokens, config.largest_norm, config.batch_tokens)


def fit(
    config: SaeConfig,
    runs: Sequence[Run],
    stream: Batches,
    *,
    on_step: Callable[[int, int], Any] = lambda done, steps: None,
    every: float,
) -> None:
    """Train to the last step, each SAE from its last checkpoint if it has one; afterwards each is ready to be saved.

    A checkpoint is written every so many seconds, at the end of a block. Loop and end are those of `SAETrainer.fit`.

    Raises:
        InputError: a checkpoint cannot be written.
    """
    for run in runs:
        resume(run)
    steps_a_block, saved = config.buffer_tokens // config.batch, time.monotonic()
    for step in range(min(run.step for run in runs), config.steps):
        active = [run for run in runs if run.step == step]
        if step % steps_a_block == 0 and step and time.monotonic() - saved >= every:
            for run in active:
                checkpoint(run)
            saved = time.monotonic()
        if step == 0:
            _initialise(active, [stream(early) for early in range(steps_a_block)])
        batches = stream(step)
        for run in active:
            if step % steps_a_block == 0 and isinstance(stream, Stream):
                run.read += stream.read
                run.dropped += stream.dropped[run.place]
            run.trainer.maybe_reset_sparsity()
            with without_denormals():
                run.trainer.step(batches[run.place])
            run.trainer.n_training_steps += 1
        on_step(step + 1, config.steps)
    for trainer in (run.trainer for run in runs):
        trainer.sae.fold_activation_norm_scaling_factor(trainer.activation_scaler.scaling_factor)
        trainer.activation_scaler.scaling_factor = None
        trainer.set_final_sae_metadata()
        trainer.sae.eval()


def folder_of(config: SaeConfig, place: Place, seed: int) -> Path:
    """Where an SAE is saved: `<layer>.<site>/seed<k>`."""
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sae = _untrained(config, place, d_model)
    settings = SAETrainerConfig(
        total_training_samples=config.steps * config.batch,
        train_batch_size_samples=config.batch,
        lr=config.learning_rate,
        lr_end=config.learning_rate / 10,
        lr_warm_up_steps=round(WARM_UP * config.steps),
        lr_decay_steps=round(DECAY * config.steps),
        device=str(device),
        dead_feature_window=max(1, round(FORGOTTEN * config.steps)),
    )
    return Run(place, seed, folder_of(config, place, seed), SAETrainer(settings, sae.to(device), iter(())), key)


def _untrained(config: SaeConfig, place: Place, d_model: int) -> Any:
    """SAELens' training object of an architecture, by its name here."""
    import sae_lens
    from sae_lens.saes.sae import SAEMetadata

    metadata = SAEMetadata(
        model_name=config.model, hook_name=hook_name(*place), context_size=config.context, prepend_bos=False
    )
    warm_up = round(WARM_UP * config.steps)
    # The threshold that a batch-wise TopK is saved with is a moving average that begins at 0: ten time constants.
    batchwise = {"k": float(config.k), "topk_threshold_lr": min(1.0, max(0.01, 10 / config.steps))}
    widths = sorted({max(1, config.width // part) for part in MATRYOSHKA_PARTS})
    name, own = {
        "topk": ("TopK", {"k": config.k}),
        "batchtopk": ("BatchTopK", batchwise),
        "matryoshka": ("MatryoshkaBatchTopK", {**batchwise, "matryoshka_widths": widths}),
        "jumprelu": ("JumpReLU", {"l0_coefficient": config.sparsity, "l0_warm_up_steps": warm_up}),
        "standard": ("Standard", {"l1_coefficient": config.sparsity, "l1_warm_up_steps": warm_up}),
    }[config.architecture]
    settings = getattr(sae_lens, f"{name}TrainingSAEConfig")(
        d_in=d_model, d_sae=config.width, normalize_activations="expected_average_only_in", metadata=metadata, **own
    )
    return getattr(sae_lens, f"{name}TrainingSAE")(settings)


def checkpoint(run: Run) -> None:
    """Write everything that the next step depends on, as a whole, and then remove the previous checkpoint.

    Raises:
        InputError: it cannot be written; the previous checkpoint is still there.
    """
    place, partial = run.checkpoints / str(run.step), run.checkpoints / f"{run.step}.partial"
    if place.exists():  # just resumed
        return
    with _writing(run.folder, partial):
        run.trainer.save_checkpoint(partial.name, base_path=run.checkpoints)
        state = {"read": run.read, "dropped": run.dropped}
        (partial / STATE).write_text(json.dumps(state), encoding="utf-8")
        flush(partial)
        partial.replace(place)
    for other in run.checkpoints.iterdir():
        if other != place:
            shutil.rmtree(other)


def resume(run: Run) -> None:
    """Go on from the last checkpoint, if there is one.

    Raises:
        InputError: it is damaged.
    """
    whole = [path for path in run.checkpoints.glob("*") if path.name.isdigit()]
    if not whole:
        return
    last = max(whole, key=lambda path: int(path.name))
    try:
        state = json.loads((last / STATE).read_text(encoding="utf-8"))
        run.read, run.dropped = state["read"], state["dropped"]
        run.trainer.load_trainer_state(last)
        run.trainer.sae.load_weights_from_checkpoint(last)
    except Exception as error:  # torch, safetensors and SAELens raise many kinds on a damaged file
        if is_out_of_memory(error):
            raise
        raise InputError(
            f"{last} is damaged ({type(error).__name__}), so that training cannot go on: remove it and give the same "
            "command again"
        ) from error


def _initialise(runs: Sequence[Run], first_block: Sequence[dict[Place, torch.Tensor]]) -> None:
    """The scale c and the first b_dec."""
    for run in runs:
        states = torch.cat([batches[run.place] for batches in first_block])
        scale = float(states.shape[1] ** 0.5 / states.norm(dim=1).mean())
        run.trainer.activation_scaler.scaling_factor = scale
        run.trainer.sae.b_dec.data.copy_(scale * states.mean(dim=0))


def _save(run: Run, record: dict[str, Any], held: HeldOut) -> None:
    """Write an SAE, read it back, measure it, and move it to its place as a whole; then remove its checkpoints."""
    partial = run.folder.with_name(f".{run.folder.name}.partial")
    with _writing(run.folder, partial):
        run.trainer.sae.save_inference_model(partial)
        saved = load_sae(str(partial), device=str(held.states.device))
        measures = measure(saved, held) | {"reload_difference": _difference(run.trainer.sae, saved.sae, held.states)}
        own = {
            "layer": run.place[0], "site": run.place[1], "seed": run.seed, "states_read": run.read,
            "states_dropped": run.dropped,
        }  # fmt: skip
        content = json.dumps(record | own | {"measures": measures}, indent=1)
        (partial / RECORD).write_text(content + "\n", encoding="utf-8")
        flush(partial)
        partial.replace(run.folder)
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _difference(trained: Any, reloaded: Any, states: torch.Tensor) -> float:
    """Largest |x^ trained - x^ reloaded| over |x|, on a few thousand of the held-out states."""
    some = states[:: max(1, len(states) // COMPARED)]
    with torch.no_grad():
        apart = trained.decode(trained.encode(some)) - reloaded.decode(reloaded.encode(some))
    return float((apart.norm(dim=1) / some.norm(dim=1)).max())


@contextmanager
def _writing(folder: Path, partial: Path) -> Iterator[None]:
    """Write the folder `partial`, which does not outlive the block; a full disk or a missing permission is InputError.

    safetensors has an error of its own for a full disk, and torch's archive writer raises a RuntimeError.
    """
    from safetensors import SafetensorError

    shutil.rmtree(partial, ignore_errors=True)
    try:
        yield
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write {folder} ({reason}): free some space, the same command goes on") from error
    except RuntimeError as error:
        if "write" not in str(error) and "PytorchStreamWriter" not in str(error):
            raise
        raise InputError(f"cannot write {folder} (disk full?): free some space, the same command goes on") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_trained(folder: Path, key: str) -> bool:
    """Whether a finished SAE of these settings is saved there.

    Raises:
        InputError: the folder holds something else, or an SAE of other settings.
    """
    if (record := record_of(folder)) is None:
        if folder.exists():
            raise InputError(f"{folder} holds something that is no SAE of this program: give another --out")
        return False
    if record["configuration_hash"] != key:
        raise InputError(
            f"{folder} holds an SAE of other settings (its training.json says which): give another --out, or remove it"
        )
    return True
