"""A circuits run: every question, of trained and of random weights, to tables. One question is a cell on disk.

attention, lens, offsets   one cell for each domain with questions
analogies              one cell for each domain with items, and one for the published words
embeddings, helix      one cell each
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from llm_probe.circuits.analogies import analogy_rows, word_rows
from llm_probe.circuits.attention import attention_rows
from llm_probe.circuits.embeddings import embedding_rows
from llm_probe.circuits.helix import check_numbers, helix_rows
from llm_probe.circuits.logit_lens import lens_rows
from llm_probe.circuits.offsets import offset_rows
from llm_probe.circuits.table import TABLES, CircuitsConfig
from llm_probe.models.loading import LoadedModel, load, twin, weights_fingerprint
from llm_probe.questions.claims import Claim
from llm_probe.questions.domains import Domain, resolve
from llm_probe.run.study import Result, Rows, Session, Study, stage, together
from toy.run.cells import key_of
from toy.run.limits import check_counts

Question = Callable[[LoadedModel], Iterable[Any]]
"""What answers one question of one model: rows of `table.TABLES`."""


def _figures(folder: Path, result: Result) -> None:
    from llm_probe.circuits.page import all_figures
    from llm_probe.page.style import save_figures

    save_figures(folder, all_figures(result.frames), "circuits")


def _words(result: Result) -> str:
    """The size of every table, the answers read at the last block, and the helix beside its rivals."""
    lens, helix = result.frames["lens"], result.frames["helix"]
    parts = [f"{name}: {len(frame)} rows" for name, frame in result.frames.items()]
    if len(lens):
        last = lens.loc[(lens["part"] == "all") & (lens["layer"] == lens["layer"].max())]
        columns = ["weights", "domain", "accuracy", "chance"]
        parts.append(last.to_string(columns=columns, index=False, float_format="%.2f"))
    own = helix[helix["family"].isin(["helix", "polynomial", "digits"])]
    r2 = own.pivot_table(index=["context", "layer", "weights"], columns="family", values="r2")
    return "\n".join([*parts, r2.to_string(float_format="%.2f")])


CIRCUITS = Study(TABLES, cell_version=1, figures=_figures, words=_words, digits=5)


def run(config: CircuitsConfig, command: str = "") -> Result:
    """Answer every question of a configuration; finished cells are taken from the results folder.

    Raises:
        InputError: an unknown model or domain, or too few or too many integers.
    """
    check_counts(config, "prompts", "renamings")
    check_numbers(config)
    return CIRCUITS.run(config.folder, lambda session: _rows(config, session), command)


def _rows(config: CircuitsConfig, session: Session) -> Rows:
    domains = resolve(list(config.domains), list(config.moduli)), resolve(list(config.items), [])
    options = ("revision", "dtype", "device", "trust_remote_code")
    loaded = load(config.model, **{name: getattr(config, name) for name in options})
    fingerprint = weights_fingerprint(loaded.model)
    session.describe(config.probed, loaded, range(len(loaded.layers)), fingerprint)
    answering, session.facts["skipped"] = questions(config, loaded, *domains)
    untrained, parts = twin(loaded, config.seed + 1), []
    for weights in ("trained", "random"):
        if weights == "random":
            loaded = untrained()
        with stage(f"{weights} weights", len(answering), "questions") as bar:
            for name, question in answering.items():
                key = key_of({"question": name, "weights": weights, "model": fingerprint, **config.decides()})
                parts.append(session.rows(key, partial(_by_table, question, loaded)))
                bar.update()
    return together(parts)


def _by_table(question: Question, loaded: LoadedModel) -> Rows:
    """The answers to a question, under the names of their tables."""
    rows = list(question(loaded))
    tables = {name: [row for row in rows if type(row) is row_type] for name, row_type in TABLES.items()}
    return {name: own for name, own in tables.items() if own}


def questions(
    config: CircuitsConfig, loaded: LoadedModel, questioned: Sequence[Domain], compared: Sequence[Domain]
) -> tuple[dict[str, Question], dict[str, str]]:
    """(name to what answers it, name to why it is left out)."""
    answering: dict[str, Question] = {}
    skipped: dict[str, str] = {}
    if getattr(loaded.model.config, "toy", None) is not None:
        skipped["attention, lens, analogies"] = "a toy has no sentences; its attention is measured by analyze_toy.py"
    else:
        for domain in compared:
            if domain.statements and domain.period > 4:
                answering[f"analogies {domain.name}"] = partial(
                    analogy_rows, claim=Claim(domain, "item"), config=config
                )
        answering["analogies words"] = partial(word_rows, config=config)
        if loaded.mute:
            skipped["attention, lens"] = f"{loaded.mute}, so there is no place where an answer would be"
        for domain in [] if loaded.mute else questioned:
            shared = {"claim": Claim(domain, "sum"), "size": config.prompts, "seed": config.seed}
            answering[f"attention {domain.name}"] = partial(attention_rows, **shared)
            answering[f"lens {domain.name}"] = partial(lens_rows, **shared)
            answering[f"offsets {domain.name} {config.shots}"] = partial(
                offset_rows, domain=domain, shots=config.shots, seed=config.seed
            )
    answering["embeddings"] = partial(embedding_rows, config=config)
    answering["helix"] = partial(helix_rows, config=config)
    return answering, skipped
