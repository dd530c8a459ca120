"""The page of one network: its numbers, the film, and every family of pictures with its sentences.

One HTML file, made of page.html. Pictures and film lie inside it as long as it stays below `PAGE_LIMIT`, the small ones
first; what has no room is shown from the folder beside it. It asks for nothing from a network, and runs no script.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toy.analysis import summary
from toy.config import ToyConfig
from toy.networks.tasks import named
from toy.pictures.families import FAMILIES
from toy.pictures.material import Material, Picture
from toy.pictures.style import PIXELS_AN_INCH
from toy.run.templates import render as render_template

PAGE_LIMIT = 5_000_000
"""Bytes."""
FILM_AFTER = "01_grokking_curve"
KINDS = {".png": "image/png", ".mp4": "video/mp4"}
FILES = ("analysis.json", "progress.csv", "metrics.jsonl", "config.json", "film.mp4", "film.gif")


def render(
    folder: Path,
    material: Material,
    pictures: Mapping[str, Picture],
    film: str | None,
    about: Sequence[str],
    command: str,
) -> str:
    """The page as text. `folder` holds figures/NAME.png and film.mp4; `film` is what the film shows, or why there is
    none; `about` are facts for the head."""
    shown = [f"figures/{name}.png" for name, picture in pictures.items() if picture.figure is not None]
    if (folder / "film.mp4").is_file():
        shown.append("film.mp4")
    addresses = _addresses(folder, shown)
    return render_template(
        Path(__file__).parent,
        "page.html",
        title=f"{named(material.config.task).formula} modulo {material.config.modulus}",
        about=about,
        summary=summary.sentence(material.config, material.analysis),
        command=command,
        numbers=summary.rows(material.analysis),
        sections=[_section(name, picture, addresses) for name, picture in pictures.items()],
        film=film,
        film_after=FILM_AFTER,
        film_address=addresses.get("film.mp4"),
        files=[*(name for name in FILES if (folder / name).is_file()), "figures/"],
    )


def facts(config: ToyConfig, step: int | None, name: str) -> list[str]:
    """What stands under the title."""
    sizes = f"{config.d_model} wide, {config.d_mlp} neurons"
    kind = (
        "MLP" if config.architecture == "mlp" else f"transformer of {config.n_layers} layer{'s'[: config.n_layers > 1]}"
    )
    heads = [] if config.architecture == "mlp" else [f"{config.n_heads} heads"]
    at = [] if step is None else [f"step {step:,}"]
    trained = f"trained on {100 * config.train_fraction:g} % (seed {config.seed})"
    return [kind, sizes, *heads, trained, *at, name]


def _addresses(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Where each file is shown from: the page itself while there is room, the smallest first, else the folder."""
    room, addresses = PAGE_LIMIT - 200_000, dict(zip(names, names, strict=True))
    for name in sorted(names, key=lambda each: (folder / each).stat().st_size):
        size = (folder / name).stat().st_size * 4 // 3
        if size <= room:
            room -= size
            data = base64.b64encode((folder / name).read_bytes()).decode()
            addresses[name] = f"data:{KINDS[Path(name).suffix]};base64,{data}"
    return addresses


def _section(name: str, picture: Picture, addresses: Mapping[str, str]) -> dict[str, Any]:
    section: dict[str, Any] = {"name": name, "heading": FAMILIES[name].heading, "text": picture.said, "address": None}
    if picture.figure is not None:
        width, height = (round(PIXELS_AN_INCH * size) for size in picture.figure.get_size_inches())
        message = picture.figure.get_suptitle().replace("\n", " ")
        section |= {"address": addresses[f"figures/{name}.png"], "width": width, "height": height, "message": message}
    return section
