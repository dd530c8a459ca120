"""A sweep whose files were damaged or edited says so in one sentence, and its command computes again what is lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llm_probe.sweep.folder import Sweep, open_sweep, plan, status
from llm_probe.sweep.merge import merge
from llm_probe.sweep.workers import work
from toy.run.errors import InputError

DAMAGES: list[Callable[[str], str]] = [
    lambda text: "",
    lambda text: text[:-9],
    lambda text: text.replace('"seconds": ', '"seconds": 1'),
    lambda text: json.dumps(json.loads(text)["content"]),
]


def again(sweep: Sweep) -> Sweep:
    """What the same command makes of the folder."""
    return plan(sweep.folder, sweep.name, sweep.kind, sweep.cells, "a test")


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_named_and_its_cell_computed_again(
    damage: Callable[[str], str], planned: Callable[..., Sweep], capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = planned(number=[1, 2])
    work(sweep, sweep.cells)
    first = sweep.cells[0]
    path = sweep.folder / "cells" / f"v1-{first.key}.json"
    path.write_text(damage(path.read_text()))
    reopened = again(sweep)
    said = status(reopened)
    assert "2 trivial cells: 1 done, 1 damaged" in said
    assert "no valid checksum: the sweep's command computes it again" in said
    assert [gap["state"] for gap in merge(reopened).gaps] == ["damaged"]
    assert reopened.missing() == [first]
    assert work(reopened, reopened.cells) == 1
    assert reopened.missing() == []
    assert "no valid checksum: set aside" in capsys.readouterr().err
    assert "2 done" in status(reopened)


@pytest.mark.parametrize("claim", ["", "{", "[]", '{"host": 1}', '{"host": 1, "process": 2, "job": 3, "started": "x"}'])
def test_a_damaged_note_of_who_took_a_cell_is_named(claim: str, planned: Callable[..., Sweep]) -> None:
    sweep = planned(number=[1])
    path = sweep.run_folder(sweep.cells[0]) / "claim.json"
    path.parent.mkdir(parents=True)
    path.write_text(claim)
    assert "interrupted number=1  taken, but" in status(sweep)


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """The text of a plan with its content changed."""

    def edit(text: str) -> str:
        content = json.loads(text)
        change(content)
        return json.dumps(content)

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "is damaged"),
        (lambda text: text[:60], "is damaged"),
        (lambda text: "[]", "is damaged .it names no kind"),
        (lambda text: "\0" * 9, "is damaged"),
        (edited(lambda plan: plan.pop("cells")), "is damaged .KeyError"),
        (edited(lambda plan: plan.pop("kind")), "is damaged .it names no kind"),
        (edited(lambda plan: plan.update(cells=7)), "is damaged .TypeError"),
        (edited(lambda plan: plan["cells"][0].pop("config")), "is damaged .KeyError"),
        (edited(lambda plan: plan["cells"][0]["config"].update(speed=1)), "is damaged .KeyError"),
        (edited(lambda plan: plan["cells"][0]["swept"].append("speed")), "is damaged .AttributeError"),
        (edited(lambda plan: plan["cells"][1]["config"].update(number=7)), "was edited or is another version's: cell"),
        (edited(lambda plan: plan.update(kind="other")), "unknown kind 'other': choose from trivial"),
    ],
)
def test_a_damaged_plan_is_named(
    damage: Callable[[str], str], message: str, planned: Callable[..., Sweep], trivial: Any
) -> None:
    sweep = planned(number=[1, 2])
    work(sweep, sweep.cells)
    path = sweep.folder / "sweep.json"
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=message):
        open_sweep(sweep.folder, trivial.KINDS)
    assert Path(sweep.folder / "cells").is_dir()
    if "edited" in message:
        assert again(sweep).missing() == []  # the command writes the plan anew, and what was done is done
