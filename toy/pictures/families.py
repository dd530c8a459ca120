"""Every family of pictures, in the order in which they are read, and their files.

A family exists for every task and every network: where it does not apply, its sentence stands without a figure and
`write` leaves no file of an earlier network behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from toy.pictures import causes, circuits, training, weights
from toy.pictures.material import Material, Picture
from toy.pictures.style import KINDS, save


@dataclass(frozen=True)
class Family:
    """One kind of picture."""

    heading: str
    """Above it on the page."""
    draw: Callable[[Material], Picture]


FAMILIES: dict[str, Family] = {
    "01_grokking_curve": Family("From memory to rule", training.grokking_curve),
    "02_spectra": Family("Which frequencies the weights hold", weights.embedding_and_unembedding),
    "03_coefficients": Family("Fourier coefficients", weights.coefficient_map),
    "04_neuron_map": Family("Neurons by frequency", circuits.neuron_map),
    "05_circles": Family("Numbers on circles", weights.circles),
    "06_logit_reconstruction": Family("Logits from the key frequencies", circuits.logit_reconstruction),
    "07_logit_spectrum_2d": Family("Products of a and b", circuits.logit_spectrum_2d),
    "08_attention": Family("Attention", circuits.attention_patterns),
    "09_neuron_traces": Family("Neurons along a", circuits.neuron_traces),
    "10_phase_portraits": Family("Neurons against each other", circuits.phase_portraits),
    "11_embedding_gallery": Family("Principal components of the embedding", weights.embedding_gallery),
    "12_error_maps": Family("Right and wrong", training.error_maps),
    "13_progress": Family("Progress beneath the accuracy", training.progress_measures),
    "14_ablations": Family("Taking parts away", causes.ablations),
    "15_clock_or_pizza": Family("Clock or Pizza, and subgroups", causes.clock_or_pizza),
}


def draw_all(material: Material) -> dict[str, Picture]:
    """Every family of this network, by name."""
    return {name: family.draw(material) for name, family in FAMILIES.items()}


def write(folder: Path, pictures: dict[str, Picture]) -> list[Path]:
    """The figures as png and svg; what was written."""
    written = []
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        if picture.figure is not None:
            written += save(picture.figure, folder, name)
            continue
        for kind in KINDS:
            (folder / f"{name}.{kind}").unlink(missing_ok=True)
    return written
