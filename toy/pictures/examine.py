"""From a path to everything that is known of the network there: analysis.json, figures, progress, film and page.

    PATH/ a run directory      analysis.json, figures/, progress.csv, film.mp4, film.gif, index.html in it
    PATH  a checkpoint file    the same without history, in the folder <stem>-analysis beside it

Nothing is read back: the same path gives the same files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from toy.analysis.measurements import analyse
from toy.analysis.progress import Watch, progress, unwatched
from toy.config import AnalysisRequest
from toy.pictures import animate, families, page
from toy.pictures.material import gather
from toy.run.errors import InputError
from toy.run.files import write_atomic
from toy.training.layouts import load_checkpoint, stored_losses
from toy.training.runs import Run, is_run, open_run

NO_FILM = "A film needs the checkpoints of a run directory; this is a single one."


@dataclass(frozen=True)
class Examined:
    """What was found and written."""

    analysis: dict[str, Any]
    folder: Path
    figures: int
    absent: tuple[str, ...]
    """Families that do not apply, each with its reason."""


def examine(request: AnalysisRequest, command: str, watch: Watch = unwatched) -> Examined:
    """Analyse, draw and write.

    Raises InputError if the path holds no checkpoint that can be read, the step is not there, or the disk is full.
    """
    path, run = _locate(request)
    model, config, step = load_checkpoint(path, request.task, request.split_seed, request.train_frac)
    folder = request.folder
    analysis = analyse(model, config, seed=request.seed)
    # The losses that another project's file keeps of itself, to compare with.
    losses = {} if run is not None else stored_losses(path)
    source = {
        "checkpoint": path.name,
        "step": step,
        "config": asdict(config),
        **({"stored_losses": losses} if losses else {}),
    }
    history = [] if run is None else progress(run, request.steps, watch)
    material = gather(model, config, analysis, step, run.metrics() if run else (), history)
    pictures = families.draw_all(material)
    try:
        write_atomic(folder / "analysis.json", json.dumps(analysis | {"source": source}, indent=1) + "\n")
        families.write(folder / "figures", pictures)
        if history:
            write_atomic(folder / "progress.csv", as_csv(history))
        said = _film(request, run, folder, history)
        about = page.facts(config, step, path.name)
        write_atomic(folder / "index.html", page.render(folder, material, pictures, said, about, command))
    except OSError as error:
        raise InputError(
            f"cannot write {error.filename or folder}: {error.strerror}; free some space or give another --out"
        ) from error
    absent = tuple(f"{name}: {picture.said}" for name, picture in pictures.items() if picture.figure is None)
    return Examined(analysis, folder, len(pictures) - len(absent), absent)


def _locate(request: AnalysisRequest) -> tuple[Path, Run | None]:
    """The checkpoint to analyse, and the run it belongs to where a run directory was given."""
    path = request.path
    if not path.is_dir():
        if request.step is not None or request.steps:
            raise InputError(f"{path} is a single checkpoint: steps can be chosen in a run directory only")
        return path, None
    if not is_run(path) and (seeds := sorted(each for each in path.glob("seed*") if is_run(each))):
        raise InputError(f"{path} holds the runs of {len(seeds)} seeds: give one of them, such as {seeds[0]}")
    run = open_run(path)
    for step in request.steps:
        run.checkpoint(step)
    return run.checkpoint(request.step) if request.step is not None else path, run


def _film(request: AnalysisRequest, run: Run | None, folder: Path, history: Sequence[dict[str, Any]]) -> str | None:
    """Make the film; what the page says of it, or None where none was wanted."""
    if not request.film:
        return None
    if run is None or len(history) < 2:
        return NO_FILM
    subject = animate.film(
        run, folder / "film.mp4", folder / "film.gif", history, steps=[row["step"] for row in history]
    )
    return animate.caption(subject, len(history))


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of equal fields as CSV, a field with a value for each key as columns name_key; None is an empty cell."""
    flat = [
        {f"{name}_{key}" if key else name: cell for name, value in row.items()
         for key, cell in (value.items() if isinstance(value, dict) else [("", value)])}
        for row in rows
    ]  # fmt: skip
    lines = [",".join(flat[0])]
    lines += [",".join("" if value is None else f"{value:.9g}" for value in row.values()) for row in flat]
    return "\n".join(lines) + "\n"
