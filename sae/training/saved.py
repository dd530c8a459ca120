"""A sparse autoencoder from disk or from SAELens' registry, and whether it fits a model.

    f = encode(x)      x (n, d), a residual state as the model makes it      f (n, latents), f >= 0, most of it 0
    x' = decode(f)     f @ decoder + b_dec                                   decoder (latents, d)

An SAE is given as a folder in SAELens' format (cfg.json, sae_weights.safetensors), or as `<release>/<id>` of its
registry, such as `qwen-scope-3-1.7b-base-w32k-l50/layer13`. Which output of which block it was trained on is read from
the hook's name in its configuration (TransformerLens' names, which SAELens uses for models of every library):

    blocks.3.hook_resid_post    layer 3, resid_post
    blocks.3.hook_resid_pre     layer 2, resid_post: what block 3 reads is what block 2 wrote

`check_fits` compares it with a model: width, layer and, where the SAE is this package's own (training.json), the
weights, so that an SAE of the untrained twin is not read on the trained model by mistake; of others the model's name.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.models.loading import LoadedModel, check_layers, weights_fingerprint
from llm_probe.run.vocabulary import Site
from toy.run.errors import InputError

RECORD = "training.json"
FILES = ("cfg.json", "sae_weights.safetensors")
HOOK = re.compile(r"blocks\.(\d+)\.hook_(resid_pre|" + "|".join(get_args(Site)) + ")")
UNFOLDED = ("expected_average_only_in", "covariance_whitening")
"""Ways to scale the states before an SAE that SAELens itself does not apply: the scale must be part of the weights."""


@dataclass(frozen=True)
class Saved:
    """A sparse autoencoder that is ready to be read; nothing in it is trained further."""

    sae: Any
    """SAELens' object."""
    name: str
    """The folder or the `<release>/<id>` it came from."""
    layer: int
    """Block whose output it reads, counted from 0."""
    site: Site
    weights_fingerprint: str | None
    """Fingerprint of the model it was trained on (`llm_probe.models.loading`); None for SAEs made elsewhere."""

    @property
    def d_in(self) -> int:
        """d, the width of the states it reads."""
        return self.sae.cfg.d_in

    @property
    def latents(self) -> int:
        """The width of the dictionary."""
        return self.sae.cfg.d_sae

    @property
    def decoder(self) -> Float[Tensor, "latents d"]:
        """What each latent writes per unit of its activation."""
        return self.sae.W_dec.detach()

    def encode(self, states: Float[Tensor, "n d"]) -> Float[Tensor, "n latents"]:
        """Activations of the latents, float32 on the SAE's device."""
        with torch.no_grad():
            return self.sae.encode(states.to(self.sae.device)).float()

    def decode(self, activations: Float[Tensor, "n latents"]) -> Float[Tensor, "n d"]:
        """The states that activations stand for, on the SAE's device."""
        with torch.no_grad():
            return self.sae.decode(activations.to(self.sae.device, self.sae.dtype)).float()


def hook_name(layer: int, site: Site) -> str:
    """What SAELens calls the output of a block."""
    return f"blocks.{layer}.hook_{site}"


def load_sae(where: str, *, device: str = "cpu") -> Saved:
    """An SAE from a local folder or, as `<release>/<id>`, from SAELens' registry.

    Raises:
        InputError: there is none, it cannot be reached or read, its hook is no output of a block, it writes elsewhere
            than it reads, or it reads states that were scaled.
    """
    folder, fingerprint = Path(where).expanduser(), None
    if folder.is_dir():
        sae = _from_folder(folder, device)
        try:
            fingerprint = record["weights_fingerprint"] if (record := record_of(folder)) else None
        except (ValueError, KeyError) as error:
            raise InputError(
                f"{folder / RECORD} is not what train_sae.py wrote: train or copy the SAE again"
            ) from error
    else:
        sae = _from_registry(where, device)
    _check_reads_states(sae, where)
    layer, site = _hook_place(sae.cfg.metadata.hook_name, where)
    return Saved(sae.requires_grad_(False).eval(), where, layer, site, fingerprint)


def check_fits(saved: Saved, loaded: LoadedModel) -> None:
    """Check that an SAE can be read on a model; where only a name says that it is another's, say so on stderr.

    Raises:
        InputError: width, layer, site or weights differ.
    """
    if saved.d_in != loaded.d_model:
        raise InputError(
            f"the SAE {saved.name} reads states of {saved.d_in} numbers, {loaded.name} has {loaded.d_model}: "
            "give the model that it was trained on"
        )
    check_layers(loaded, [saved.layer])
    loaded.site_module(saved.layer, saved.site)
    if saved.weights_fingerprint not in (None, weights_fingerprint(loaded.model)):
        raise InputError(
            f"the SAE {saved.name} was trained on other weights than those of {loaded.name} ({loaded.weights}): "
            "give the model, dtype and seed in its training.json"
        )
    made_for = saved.sae.cfg.metadata.model_name
    if saved.weights_fingerprint is None and made_for and _last(made_for) != _last(loaded.name):
        print(
            f"warning: the SAE {saved.name} was made for {made_for} and is read on {loaded.name}: its latents mean "
            "something only if these are the same weights",
            file=sys.stderr,
        )


def _last(model: str) -> str:
    """A model's name without its owner or folder, as registries write it."""
    return model.rstrip("/").rpartition("/")[2].lower()


def _check_reads_states(sae: Any, where: str) -> None:
    """Raises InputError if an SAE does not give back the states of the model as they are."""
    config = sae.cfg
    if config.normalize_activations in UNFOLDED:
        raise InputError(
            f"the SAE {where} reads scaled states ({config.normalize_activations}), and its weights do not hold the "
            "scale: fold it in with SAELens (`sae.fold_activation_norm_scaling_factor`) and save it again"
        )
    read, written = config.metadata.hook_name, config.metadata.hook_name_out or config.metadata.hook_name
    if "transcoder" in config.architecture() or read != written:
        raise InputError(
            f"{where} is a {config.architecture()} from {read} to {written}, which gives back other states than it "
            "reads: give a sparse autoencoder"
        )


def _from_folder(folder: Path, device: str) -> Any:
    from sae_lens import SAE
    from safetensors import SafetensorError

    for name in FILES:
        if not (folder / name).is_file():
            raise InputError(f"no SAE in {folder}: {name} is missing; give a folder that train_sae.py wrote")
    try:
        return SAE.load_from_disk(folder, device=device)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"the SAE in {folder} cannot be read ({reason}): train or copy it again") from error


def _from_registry(where: str, device: str) -> Any:
    from sae_lens import SAE
    from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

    release, _, name = where.partition("/")
    releases = get_pretrained_saes_directory()
    if release not in releases:
        raise InputError(f"{where} is neither a folder nor <release>/<id> of SAELens' registry: check its name")
    known = list(releases[release].saes_map)
    if name not in known:
        raise InputError(f"the release {release} has no SAE {name!r}: it has {', '.join(known[:4])}, …")
    try:
        return SAE.from_pretrained(release, name, device=device)
    except Exception as error:
        # A downloader's errors are of many libraries; none of them is a mistake in this code's own arguments.
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{where} is not in the cache and could not be fetched ({reason}): connect, or give a local folder"
        ) from error


def record_of(folder: Path) -> dict[str, Any] | None:
    """The training.json of an SAE that was trained by this package; None where there is none."""
    path = folder / RECORD
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _hook_place(hook: str | None, where: str) -> tuple[int, Site]:
    """(layer, site) of a hook's name."""
    match = HOOK.fullmatch(hook or "")
    if not match:
        raise InputError(f"the SAE {where} reads {hook!r}: give one of {', '.join(get_args(Site))} of a block")
    layer, site = int(match[1]), match[2]
    if site != "resid_pre":
        return layer, cast(Site, site)
    if layer == 0:
        raise InputError(f"the SAE {where} reads the embedding, before every block: give one of a block's output")
    return layer - 1, "resid_post"
