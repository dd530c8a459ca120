"""Training with SAELens: every layer and every seed from one pass over one stream of states.

    x' = c x,  c = sqrt(d) / mean |x|                             so that learning rates mean the same in every layer
    f  = TopK(W_enc (x' - b_dec) + b_enc)                         width latents, k of them kept     (n, width)
    x^ = f W_dec + b_dec                                          rows of W_dec are features        (n, d)
    loss = |x' - x^|² + the residual predicted by latents that have not fired for a while (Gao et al. 2024, 2406.04093)

The step, its optimiser and its losses are SAELens' own (`SAETrainer.step`); what is here is which batch goes to which
trainer. c is estimated on the first block, where b_dec also begins as the mean, and is folded into the weights at the
end: a saved SAE reads states as the model makes them. What is measured is measured on the file, read back.

All SAEs of a run take step t together, because they share the stream: L layers and S seeds cost one forward pass.
They know nothing of each other, so each has its own checkpoint, at a block's end, and joins in at its own step.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from llm_probe.models.loading import LoadedModel, check_layers, load, weights_fingerprint
from sae.source.sources import source_of
from sae.source.stream import Place, Stream
from sae.training.config import SaeConfig, check
from sae.training.evaluate import HeldOut, held_out, measure
from sae.training.saved import RECORD, load_sae
from sae.training.trainers import Run, checkpoint, folder_of, new_run, resume, writing
from toy.run.cells import check_writable
from toy.run.errors import InputError

CHECKPOINT_SECONDS = 60.0
COMPARED = 4096
"""States on which the reloaded SAE is compared with the trained one."""


def train(
    config: SaeConfig, command: str = "", on_step: Callable[[int, int], Any] = lambda done, steps: None
) -> list[dict[str, Any]]:
    """Train what a configuration asks for and is not there; the content of every training.json, in order.

    `on_step(done, steps)` is told of the slowest SAE's progress.

    Raises:
        InputError: what cannot be, before anything is trained; or a folder that cannot be written.
    """
    check(config)
    check_writable(config.folder)
    loaded = load(
        config.model,
        revision=config.revision,
        dtype=config.dtype,
        device=config.device,
        trust_remote_code=config.trust_remote_code,
        random_weights=config.weights == "random",
        seed=config.weights_seed,
    )
    layers = config.layers or tuple(range(len(loaded.layers)))
    check_layers(loaded, layers)
    places: list[Place] = [(layer, site) for layer in layers for site in config.site]
    fingerprint = weights_fingerprint(loaded.model)
    key = config.hash(fingerprint=fingerprint)
    asked = [(place, seed) for place in places for seed in config.seeds]
    missing = [(place, seed) for place, seed in asked if not _is_there(folder_of(config, place, seed), key)]
    if missing:
        runs = [new_run(config, place, seed, loaded.d_model, loaded.device, key) for place, seed in missing]
        stream = stream_of(config, loaded, sorted({place for place, _ in missing}))
        started = time.monotonic()
        fit(config, runs, stream, on_step=on_step, every=CHECKPOINT_SECONDS)
        seconds = time.monotonic() - started
        record = _record(config, loaded, command, key, fingerprint) | {"seconds": round(seconds, 1)}
        measured = held_out(config, loaded, stream)
        for run in runs:
            _save(run, record, measured[run.place])
    folders = [folder_of(config, place, seed) for place, seed in asked]
    return [json.loads((folder / RECORD).read_text(encoding="utf-8")) for folder in folders]


def stream_of(config: SaeConfig, loaded: LoadedModel, places: Sequence[Place]) -> Stream:
    """The states that a configuration trains on."""
    source = source_of(config, loaded)
    return Stream(loaded, source, places, config.batch, config.buffer_tokens, config.largest_norm, config.batch_tokens)


def fit(
    config: SaeConfig,
    runs: Sequence[Run],
    stream: Callable[[int], dict[Place, torch.Tensor]],
    *,
    on_step: Callable[[int, int], Any] = lambda done, steps: None,
    every: float,
) -> None:
    """Train to the last step, from each one's last checkpoint if it has one; each ends ready to be saved.

    A checkpoint is written every so many seconds, at the end of a block.

    Raises:
        InputError: a checkpoint cannot be written.
    """
    for run in runs:
        resume(run)
    a_block, saved = config.buffer_tokens // config.batch, time.monotonic()
    for step in range(min(run.step for run in runs), config.steps):
        taking = [run for run in runs if run.step == step]
        if step % a_block == 0 and step and time.monotonic() - saved >= every:
            for run in taking:
                checkpoint(run)
            saved = time.monotonic()
        if step == 0:
            _begin(taking, stream, a_block)
        batches = stream(step)
        for run in taking:
            if step % a_block == 0 and isinstance(stream, Stream):
                run.read += stream.read
                run.dropped += stream.dropped[run.place]
            advance(run.trainer, batches[run.place])
        on_step(step + 1, config.steps)
    for run in runs:
        finish(run.trainer)


def advance(trainer: Any, batch: torch.Tensor) -> None:
    """One update, as `SAETrainer.fit` makes it."""
    trainer.maybe_reset_sparsity()
    trainer.step(batch)
    trainer.n_training_steps += 1


def finish(trainer: Any) -> None:
    """Fold the scale into the weights, as `SAETrainer.fit` does at its end."""
    trainer.sae.fold_activation_norm_scaling_factor(trainer.activation_scaler.scaling_factor)
    trainer.activation_scaler.scaling_factor = None
    trainer.set_final_sae_metadata()
    trainer.sae.eval()


def _begin(runs: Sequence[Run], stream: Callable[[int], dict[Place, torch.Tensor]], a_block: int) -> None:
    """The scale c and the first b_dec, from the first block."""
    first = [stream(step) for step in range(a_block)]
    for run in runs:
        states = torch.cat([batches[run.place] for batches in first])
        scale = float(states.shape[1] ** 0.5 / states.norm(dim=1).mean())
        run.trainer.activation_scaler.scaling_factor = scale
        run.trainer.sae.b_dec.data.copy_(scale * states.mean(dim=0))


def _save(run: Run, record: dict[str, Any], held: HeldOut) -> None:
    """Write an SAE, read it back, measure it, and put it in its place as a whole; its checkpoints go then."""
    partial = run.folder.with_name(f".{run.folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with writing(run.folder):
        try:
            run.trainer.sae.save_inference_model(partial)
            saved = load_sae(str(partial), device=str(held.states.device))
            measures = measure(saved, held) | {
                "reload_difference": _difference(run.trainer.sae, saved.sae, held.states)
            }
            own = {
                "layer": run.place[0],
                "site": run.place[1],
                "seed": run.seed,
                "states_read": run.read,
                "states_dropped": run.dropped,
            }
            content = json.dumps(record | own | {"measures": measures}, indent=1)
            (partial / RECORD).write_text(content + "\n", encoding="utf-8")
            partial.replace(run.folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(run.checkpoints, ignore_errors=True)


def _difference(trained: Any, reloaded: Any, states: torch.Tensor) -> float:
    """Largest |x^ trained - x^ reloaded| over |x|: the two read the same states, a few thousand of all held out."""
    some = states[:: max(1, len(states) // COMPARED)]
    with torch.no_grad():
        apart = trained.decode(trained.encode(some)) - reloaded.decode(reloaded.encode(some))
    return float((apart.norm(dim=1) / some.norm(dim=1)).max())


def _record(config: SaeConfig, loaded: LoadedModel, command: str, key: str, fingerprint: str) -> dict[str, Any]:
    """Everything in training.json that is the same for every SAE of a run."""
    from sae.source.sources import task_share

    return {
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
    }


def _is_there(folder: Path, key: str) -> bool:
    """Whether a finished SAE of these settings lies there; raises InputError if it is one of others."""
    if not (folder / RECORD).is_file():
        if folder.exists():
            raise InputError(f"{folder} holds something that is no SAE of this program: give another --out")
        return False
    found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    if found["configuration_hash"] != key:
        raise InputError(
            f"{folder} holds an SAE of other settings (its training.json says which): give another --out, or remove it"
        )
    return True
