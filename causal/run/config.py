"""What a causal run does: one frozen dataclass, importable without torch so that `--help` is instant."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from llm_probe.run.config import folder_name
from toy.run.cells import key_of


@dataclass(frozen=True)
class CausalConfig:
    """Turn, swap or remove the circles that a probe run accepted, and measure how the answers change."""

    model: str = "reference"
    """Hub id, local folder, or `reference`."""
    probed: Annotated[Path | None, tyro.conf.arg(name="from")] = None
    """Folder of the model's own probe run; none given: results/<model>."""
    claims: tuple[str, ...] = ()
    """Domains whose circles are tested ("mod-add 7", days); none given: all that were accepted."""
    dims: tuple[str, ...] = ()
    """Single dimensions instead of planes, as layer:dim (9:35)."""
    features: tuple[str, ...] = ()
    """Latents of sparse autoencoders instead of planes, as <folder or release/id>:latent,latent,…"""
    places: tuple[str, ...] = ()
    """Places instead of those that were accepted, as layer:position (1:offset); every frequency of the period."""
    quantity: Literal["sum", "item"] = "sum"
    """At the places: turn the circle of the answer, or (`item`) that of the first operand, which must be a word."""
    sweep: tuple[str, ...] = ()
    """Layers whose every dimension is held at its mean, one at a time, instead; `all`: every layer."""
    succession: bool = False
    """Ask for the next item instead, and move the last item's state at every block: along the whole difference of two
    items' means, and along its circle. `claims` are domains with words; none given: days and months."""
    addition: bool = False
    """Ask for sums of two digits behind worked examples instead, and move the first operand's state and the sum's at
    every block: along the whole difference of two digits' means, and along their circle of period 10."""
    layers: tuple[str, ...] = ()
    """Blocks behind which `succession` and `addition` move states; none given: all."""
    neurons: bool = False
    """Hold the MLP neurons that matter most to each claim's sums instead, and ask the sums of every other claim: do
    they share them? Beside as many others of the same blocks, the nearest by what they write."""
    dry_run: bool = False
    """Print what would be computed, with its FLOPs, and stop: no weights are needed."""
    weights: Literal["trained", "random"] = "trained"
    """`random`: the same places in the same architecture with freshly initialised weights, a null."""
    protocol: Literal["full", "published"] = "full"
    """`published`: 50 pairs mod the period in the published template, dimensions zeroed at every position."""
    prompts: int = 2000
    """Prompts a condition, of the causal part."""
    discovery: int = 2000
    """Prompts the directions are fitted on, of the discovery part."""
    draws: int = 200
    """Draws of each control."""
    control_prompts: int = 500
    """Prompts under each draw."""
    other_prompts: int = 300
    """Prompts of each other domain; 0: no other domain."""
    text: Path | None = None
    """A text file whose documents stand between blank lines; none given: Python's own help topics."""
    text_tokens: int = 256
    """Tokens of each document, at most."""
    window: int = 64
    """Tokens of a window of text."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Numbers of the weights."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where the model runs."""
    underpowered: bool = False
    """Run with fewer prompts than a drop of five points needs."""
    seed: int = 0
    """Prompts, controls, donors, bootstrap."""
    out: Path | None = None
    """Results folder; none given: causal/ (causal-sweep/, causal-dims/, …) in the probe run's folder."""

    @property
    def source(self) -> Path:
        """The probe run's folder."""
        return self.probed or Path("results") / folder_name(self.model)

    @property
    def folder(self) -> Path:
        """Where results go."""
        if self.out:
            return self.out
        others = {
            "sweep": self.sweep,
            "succession": self.succession,
            "addition": self.addition,
            "neurons": self.neurons,
            "dims": self.dims,
            "features": self.features,
            "places": self.places,
            "item": self.quantity == "item",
            "random": self.weights == "random",
        }
        return self.source / "-".join(["causal", *(name for name, given in others.items() if given)])

    @property
    def names_no_probe(self) -> bool:
        """Whether the request itself says what is edited, so that no accepted plane of a probe run is needed."""
        named = self.neurons and self.claims
        moves = self.succession or self.addition
        return bool(self.dims or self.features or self.places or self.sweep or moves or named)

    def hash(self, **also: object) -> str:
        """A short name for everything that can change a number; which claims are tested and where they go cannot."""
        skipped = (
            "out", "probed", "claims", "dims", "features", "places", "quantity", "sweep", "succession", "addition",
            "layers", "neurons", "dry_run", "underpowered", "protocol",
        )  # fmt: skip
        content = {key: value for key, value in asdict(self).items() if key not in skipped} | also
        return key_of(content)
