"""The circle of a claim as directions of the stream: what is taken out of a run to read, draw or turn it elsewhere.

    reader   W (d, m)   ridge filter: (h - μ) W + c are the predicted [cos, sin] of every frequency side by side
    writer   A (d, m)   pattern: the states move by A when the coordinates move by one; WᵀA = I
    basis    Q (d, m)   the orthonormal basis nearest to A
    mean     μ (d,)     of the discovery prompts' states; `centre` c (m,) that of their [cos, sin]

All are fitted on the discovery prompts, with the penalty that was chosen there, at the place of the claim's verdict. A
sum is often held at several frequencies at once: those whose plane beats its null at this place stand side by side, for
a circle is turned in all of them or hardly at all. A run's planes are one file, planes.safetensors: `days: sum/reader`
and so on, float32, and as metadata under `planes` one JSON object that has for every claim what is no tensor.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from llm_probe.questions.claims import Labels
from llm_probe.run.vocabulary import Position, Quantity, Site
from llm_probe.statistics.patterns import columns, nearest_orthonormal, pattern_and_filter, rotate, rotation, targets_of
from toy.maths.regression import RidgeSmoother
from toy.run.errors import InputError

FILE = "planes.safetensors"
TENSORS = ("reader", "writer", "basis", "mean", "centre")


@dataclass(frozen=True)
class CirclePlane:
    """The circle of one claim at one place; tensors are float32 on the CPU, d the width of the stream."""

    domain: str
    """Name of the domain, such as `days` or `mod-add 7`."""
    quantity: Quantity
    period: int
    layer: int
    """Block whose output was read, counted from 0."""
    site: Site
    position: Position
    frequency: int
    """k of the plane that was chosen."""
    frequencies: tuple[int, ...]
    """k of every plane that beats its null at this place, in order, the chosen one among them: two columns each, one at
    half the period."""
    reader: Float[Tensor, "d m"]
    writer: Float[Tensor, "d m"]
    basis: Float[Tensor, "d m"]
    mean: Float[Tensor, " d"]
    centre: Float[Tensor, " m"]

    @property
    def name(self) -> str:
        """`days: sum`."""
        return f"{self.domain}: {self.quantity}"

    def project(self, states: Float[Tensor, "*batch d"] | Float[np.ndarray, "*batch d"]) -> Float[Tensor, "*batch c"]:
        """Where states lie on the plane of the chosen frequency: predicted cosine and sine, so that the circle has
        radius 1; at half the period, where a circle is a line, the cosine alone.

        Raises:
            InputError: the states are of another width.
        """
        self.check_width(states.shape[-1])
        start = columns(self.frequencies[: self.frequencies.index(self.frequency)], self.period)
        own = slice(start, start + columns((self.frequency,), self.period))
        return (torch.as_tensor(states).float().cpu() - self.mean) @ self.reader[:, own] + self.centre[own]

    def turn(self, states: Float[Tensor, "n d"], steps: int | float) -> Float[Tensor, "n d"]:
        """States with the circle turned by so many steps, at every frequency and along the pattern.

        Raises:
            InputError: the states are of another width.
        """
        self.check_width(states.shape[-1])
        angle = rotation(self.frequencies, self.period, steps)
        return rotate(states, self.reader, self.mean, angle, self.writer)

    def check_width(self, width: int) -> None:
        """Raises InputError if states of this width cannot be those of the plane."""
        if width != len(self.mean):
            raise InputError(
                f"the plane of {self.name} lies in a stream {len(self.mean)} wide and the states are {width} wide: "
                f"give states of the model it was fitted on, behind block {self.layer}"
            )

    def content(self) -> dict[str, Any]:
        """As JSON: tensors as bytes."""
        packed = {name: getattr(self, name) for name in TENSORS}
        return self.words() | {
            name: [list(value.shape), base64.b64encode(value.contiguous().numpy().tobytes()).decode()]
            for name, value in packed.items()
        }

    @staticmethod
    def of_content(content: Mapping[str, Any]) -> CirclePlane:
        """The inverse of `content`."""
        tensors = {}
        for name in TENSORS:
            shape, data = content[name]
            tensors[name] = torch.frombuffer(bytearray(base64.b64decode(data)), dtype=torch.float32).view(shape)
        return CirclePlane(**{**content, "frequencies": tuple(content["frequencies"]), **tensors})

    def words(self) -> dict[str, Any]:
        """What is no tensor, as JSON."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in TENSORS}


def circle_plane(
    states: Float[Tensor, "n d"],
    labels: Labels,
    smoother: RidgeSmoother,
    relative_penalty: float,
    frequency: int,
    beside: tuple[int, ...],
    domain: str,
    place: tuple[int, Site, Position],
) -> CirclePlane:
    """The directions of a claim's circle, fitted on discovery states; `smoother`: of these states.

    `beside`: other frequencies that are held at this place; they are left out where together with the chosen one they
    would fill a stream that is hardly wider.
    """
    frequencies = tuple(sorted({frequency, *beside}))
    if columns(frequencies, labels.period) >= states.shape[1]:
        frequencies = (frequency,)
    targets = targets_of(labels.label, frequencies, labels.period).to(states.device)
    writer, reader = pattern_and_filter(states, targets, smoother, relative_penalty)
    tensors = (reader, writer, nearest_orthonormal(writer), states.double().mean(dim=0), targets.mean(dim=0))
    known = (domain, labels.quantity, labels.period, *place, frequency, frequencies)
    return CirclePlane(*known, *(tensor.float().cpu() for tensor in tensors))


def write_planes(path: Path, planes: Mapping[str, CirclePlane]) -> None:
    """All planes of a run as one safetensors file; keys are their names."""
    from safetensors.torch import save_file

    tensors = {
        f"{name}/{part}": getattr(plane, part).contiguous() for name, plane in planes.items() for part in TENSORS
    }
    # One entry: several would be written in any order, and the file would differ from run to run.
    save_file(tensors, path, metadata={"planes": json.dumps({name: plane.words() for name, plane in planes.items()})})
    path.chmod(0o644)  # safetensors' own files are for their owner alone


def read_planes(folder: str | Path) -> dict[str, CirclePlane]:
    """The planes of a results folder (or of the file itself) by the names of their claims: `days: sum`.

    Raises:
        InputError: there is no such file, or it holds no planes.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(folder)
    path = path / FILE if path.is_dir() else path
    try:
        with safe_open(path, framework="pt") as file:
            words = json.loads((file.metadata() or {})["planes"])
            return {
                name: CirclePlane(
                    **{**known, "frequencies": tuple(known["frequencies"])},
                    **{part: file.get_tensor(f"{name}/{part}") for part in TENSORS},
                )
                for name, known in words.items()
            }
    except (OSError, KeyError, SafetensorError) as error:
        raise InputError(
            f"{path} holds no planes of a probe run ({error}): give the results folder of a run, which has {FILE}"
        ) from error
