"""The page of one network: its numbers, the film, and every family of pictures with its sentences.

One HTML file. Pictures and film lie inside it as long as it stays below `PAGE_LIMIT`, the small ones first; what has
no room is shown from the folder beside it. It asks for nothing from a network, and runs no script.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from toy.analysis import summary
from toy.config import ToyConfig
from toy.networks.tasks import named
from toy.pictures.families import FAMILIES
from toy.pictures.material import Material, Picture
from toy.pictures.style import PIXELS_AN_INCH

TEMPLATE = Path(__file__).with_suffix(".html")
PAGE_LIMIT = 5_000_000
"""Bytes."""
FILM_AFTER = "01_grokking_curve"
KINDS = {".png": "image/png", ".mp4": "video/mp4"}


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
    sections = []
    for name, picture in pictures.items():
        sections.append(_section(name, picture, addresses))
        if name == FILM_AFTER and film is not None:
            sections.append(_film(film, addresses))
    config = material.config
    title = f"{named(config.task).formula} modulo {config.modulus}"
    parts = {
        "title": escape(title),
        "heading": escape(title),
        "about": "".join(f"<span>{escape(fact)}</span>" for fact in about),
        "summary": escape(summary.sentence(config, material.analysis)),
        "command": escape(command),
        "numbers": _numbers(material.analysis),
        "links": "".join(f'<a href="#{name}">{escape(FAMILIES[name].heading)}</a>' for name in pictures),
        "sections": "\n".join(sections),
        "files": _files(folder),
    }
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(parts)


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
    room, found = PAGE_LIMIT - 200_000, {}
    for name in sorted(names, key=lambda each: (folder / each).stat().st_size):
        size = (folder / name).stat().st_size * 4 // 3
        if size > room:
            found[name] = name
            continue
        room -= size
        data = base64.b64encode((folder / name).read_bytes()).decode()
        found[name] = f"data:{KINDS[Path(name).suffix]};base64,{data}"
    return found


def _section(name: str, picture: Picture, addresses: Mapping[str, str]) -> str:
    number, _, _ = name.partition("_")
    inner = f'<p class="absent">{escape(picture.said)}</p>'
    if picture.figure is not None:
        width, height = (round(PIXELS_AN_INCH * size) for size in picture.figure.get_size_inches())
        message = escape(picture.figure.get_suptitle().replace("\n", " "), quote=True)
        address = addresses[f"figures/{name}.png"]
        inner = (
            f'<img src="{address}" width="{width}" height="{height}" alt="{message}">'
            f'<p>{escape(picture.said)} <small><a href="figures/{name}.svg">svg</a></small></p>'
        )
    heading = f'<h2 id="h-{name}"><small>{number}</small>{escape(FAMILIES[name].heading)}</h2>'
    return f'<section id="{name}" aria-labelledby="h-{name}">\n{heading}\n{inner}\n</section>'


def _film(said: str, addresses: Mapping[str, str]) -> str:
    if "film.mp4" not in addresses:
        return (
            f'<section id="film"><h2>The phase transition as a film</h2><p class="absent">{escape(said)}</p></section>'
        )
    video = f'<video controls loop muted playsinline preload="auto" src="{addresses["film.mp4"]}"></video>'
    links = '<small><a href="film.mp4">mp4</a> <a href="film.gif">gif</a></small>'
    return (
        f'<section id="film"><h2>The phase transition as a film</h2>\n{video}\n<p>{escape(said)} {links}</p></section>'
    )


def _numbers(analysis: Mapping[str, Any]) -> str:
    return "".join(
        f'<tr><th scope="row">{escape(row.name)}</th><td class="one">{escape(row.trained)}</td>'
        f'<td class="none">{escape(row.untrained)}</td><td>{escape(row.meaning)}</td></tr>\n'
        for row in summary.rows(analysis)
    )


def _files(folder: Path) -> str:
    known = ("analysis.json", "progress.csv", "metrics.jsonl", "config.json", "film.mp4", "film.gif")
    found = [name for name in known if (folder / name).is_file()]
    return " ".join(f'<a href="{name}">{name}</a>' for name in [*found, "figures/"])
