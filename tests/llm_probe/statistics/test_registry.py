"""A statistic that is registered reaches the table, its explanation, the schema and the page without another line."""

import json
import re
from dataclasses import replace

import pytest
import torch

from llm_probe import load, probe
from llm_probe.page import report
from llm_probe.questions.claims import Labels
from llm_probe.run import schema
from llm_probe.run.columns import meanings
from llm_probe.run.table import InvariantRow
from llm_probe.statistics import registry
from llm_probe.statistics.registry import PLANE_STATISTICS, ChosenStates, PlaneStatistic, measure_all

MEANING = "Median distance of the predicted points from the centre of the circle."
RADIUS = PlaneStatistic(lambda at: float(at.points.norm(dim=1).median()), MEANING, since=schema.VERSION + 1)


def test_a_registered_statistic_reaches_table_schema_and_page(monkeypatch: pytest.MonkeyPatch) -> None:
    before, declared = schema.version(), schema.fingerprint()
    monkeypatch.setitem(PLANE_STATISTICS, "median_radius", RADIUS)
    loaded = load("reference")
    result = probe(loaded.model, loaded.tokenizer, ["seasons"], prompts=40, renamings=19, behaviour=False)
    table = result.frames["invariants"]
    assert table.columns[-1] == "median_radius"
    assert set(table["weights"]) == {"trained", "random"} and (table["median_radius"] > 0).all()
    assert meanings(InvariantRow)[-1] == ("median_radius", "float | None", MEANING)
    assert (schema.version(), result.run["schema"]) == (before + 1, before + 1)
    assert schema.fingerprint() == declared, "declared columns are what they were"
    page = report.render(result.frames, result.run)
    content = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert content is not None
    payload = json.loads(content[1])
    assert payload["meanings"]["invariants"]["median_radius"] == MEANING
    for row in payload["rows"]:
        of_claim = table[(table["domain"] == row["domain"]) & (table["quantity"] == row["quantity"])]
        radii = of_claim.set_index("weights")["median_radius"]
        (line,) = [line for line in row["measures"] if line[-1] == "median_radius"]
        assert line[0] == "median radius"
        assert [float(text) for text in line[1:3]] == pytest.approx([radii["trained"], radii["random"]], abs=0.006)


def test_a_statistic_that_does_not_apply_or_is_no_number_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"none": None, "nan": float("nan"), "infinite": float("inf"), "number": 0.25}
    measures = {name: replace(RADIUS, measure=lambda at, value=value: value) for name, value in values.items()}
    monkeypatch.setattr(registry, "PLANE_STATISTICS", measures)
    labels = Labels("sum", 7, *(torch.zeros(3, dtype=torch.long) for _ in range(5)))
    states = torch.zeros(3, 2)
    at = ChosenStates(1, labels, labels, states, states, states)
    assert measure_all(at) == {"none": None, "nan": None, "infinite": None, "number": 0.25}


def test_every_statistic_says_what_it_is_in_a_sentence() -> None:
    for name, statistic in PLANE_STATISTICS.items():
        assert statistic.meaning.endswith(".") and len(statistic.meaning.split()) > 2, name
        assert 2 <= statistic.since <= schema.VERSION, name
