"""Domains from YAML and prompts from tables: what is read and refused, and a planted circle that is supported."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest
import torch
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from llm_probe import probe
from llm_probe.questions.own import GivenClaim, load_domain, load_prompts
from toy.run.errors import InputError

TIDES = """
name: tides
items: [low, rising, high, falling, 5]
questions:
  plain: "{offset} steps after {item} is"
statements:
  now: "The tide is {item}."
cyclic: true
largest_offset: 9
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`datasets` keeps what it read below the home folder; here below the test's."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def yaml(folder: Path, text: str) -> Path:
    path = folder / "tides.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def prompts(folder: Path, suffix: str = ".csv", **columns: list[Any]) -> Path:
    """A table of nine prompts `now a or no`, letters and labels in turn; columns may be replaced."""
    letters = [*"abcdefghi"]
    known = {
        "prompt": [f"now {letter} or no" for letter in letters],
        "label": list(range(9)),
        "period": [9] * 9,
        "position": letters,
    }
    table = pd.DataFrame({name: column for name, column in (known | columns).items() if column})
    path = folder / f"letters{suffix}"
    if suffix == ".csv":
        table.to_csv(path, index=False)
    elif suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=True)
    return path


def test_a_domain_file_is_a_domain(tmp_path: Path) -> None:
    domain = load_domain(yaml(tmp_path, TIDES))
    assert (domain.name, domain.period, domain.cyclic) == ("tides", 5, True)
    assert domain.items == ("low", "rising", "high", "falling", "5")  # an item is text, also where YAML sees a number
    assert domain.questions == {"plain": "{offset} steps after {item} is"}
    assert domain.statements == {"now": "The tide is {item}."}
    assert domain.offsets == range(9)


def test_the_partitions_of_a_domain_file(tmp_path: Path) -> None:
    """As many as wanted, each a list with the class of every item; a domain without any has none."""
    more = TIDES + "partitions:\n  moving: [0, 1, 0, 1, 0]\n  2024: [1, 1, 2, 3, 3]\n"
    assert load_domain(yaml(tmp_path, more)).partitions == {"moving": (0, 1, 0, 1, 0), "2024": (1, 1, 2, 3, 3)}
    assert load_domain(yaml(tmp_path, TIDES)).partitions == {}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cyclic", "cycle", "unknown key 'cycle'; a domain file is a mapping with the keys name, items, questions"),
        ("name: tides", "", "`name` or `items` missing"),
        ("{offset} steps", "two steps", r"'plain' of 'tides' must hold \{offset\} exactly once"),
        ("is {item}", "is out", r"'now' of 'tides' must hold \{item\} exactly once"),
        ("high", "low", "at least three different items"),
        ("[low, rising, high, falling, 5]", "low", "`items` must be a list, got 'low'"),
        ("name: tides", "name: 7", "`name` must be text, got 7"),
        ('now: "The tide is {item}."', "[now]", "`statements` must be a mapping of names to texts"),
        ('"The tide is {item}."', "7", "`statements` must be a mapping of names to texts"),
        ("cyclic: true", "cyclic: maybe", "`cyclic` must be true or false, got 'maybe'"),
        ("largest_offset: 9", "largest_offset: many", "`largest_offset` must be a number"),
        ("falling, 5]", "falling, 5", "cannot read the domain file .*tides.yaml"),
        (
            "cyclic: true",
            "partitions: [0, 1, 0, 1, 0]",
            r"`partitions` must be a mapping of names to the class of every item, got \[0, 1, 0, 1, 0\]",
        ),
        (
            "cyclic: true",
            "partitions: {moving: 1}",
            "`partitions` must be a mapping of names to the class of every item",
        ),
        (
            "cyclic: true",
            "partitions: {moving: [0, 1, 0]}",
            "'moving' of 'tides' must put each of the 5 items into one of two or more classes, got ",
        ),
        (TIDES, "- a list", "`name` or `items` missing"),
        (TIDES, "", "`name` or `items` missing"),
        (TIDES, "name: bare\nitems: [1, 2, 3]", "neither question nor statement templates"),
    ],
)
def test_a_wrong_domain_file_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert old in TIDES
    with pytest.raises(InputError, match=message):
        load_domain(yaml(tmp_path, TIDES.replace(old, new)))


def test_a_domain_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read the domain file .*nowhere\.yaml: .*No such file"):
        load_domain(tmp_path / "nowhere.yaml")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(InputError, match=r"cannot read the domain file .*binary\.yaml"):
        load_domain(binary)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_prompts_are_read_at_their_position(suffix: str, tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path, suffix))
    assert (claim.name, claim.period, claim.quantity) == ("letters: item", 9, "item")
    assert [prompt.label for prompt in claim.given] == list(range(9))
    assert [prompt.spans["item"] for prompt in claim.given] == [(4, 5)] * 9
    assert claim.given[2].text == "now c or no"


def test_without_a_position_the_last_token_is_read(tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path, position=[]))
    assert all(prompt.spans["item"] == (0, len(prompt.text)) for prompt in claim.given)
    some = load_prompts(prompts(tmp_path, ".jsonl", position=["a", *[None] * 8]))
    assert [prompt.spans["item"] for prompt in some.given[:2]] == [(4, 5), (0, 11)]


def test_of_several_places_the_last_is_read(tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path, position=["o"] * 9))
    assert {prompt.spans["item"] for prompt in claim.given} == {(10, 11)}


def test_labels_are_reduced_by_the_period(tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path, label=[9, -1, 20.0, *range(6)]))
    assert [prompt.label for prompt in claim.given[:3]] == [0, 8, 2]


def test_the_parts_share_no_row(tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path))
    parts = [claim.prompts(part, 100, 0) for part in ("discovery", "confirmation", "causal")]
    assert sorted(prompt.text for part in parts for prompt in part) == [prompt.text for prompt in claim.given]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": []}, r"lacks the column 'label': it needs prompt, label and period"),
        ({"period": [9] * 8 + [7]}, "holds 2 periods: put prompts of each period into a file of their own"),
        ({"position": ["z"] * 9}, "the position 'z' does not occur in the prompt 'now a or no'"),
        ({"label": ["one"] * 9}, "the label 'one' is not an integer"),
        ({"label": [0.5] * 9}, r"the label 0\.5 is not an integer"),
        ({"period": ["nine"] * 9}, "the period 'nine' is not an integer"),
        ({"period": [2] * 9}, "at least three different items"),
    ],
)
def test_a_wrong_prompt_file_is_refused(columns: dict[str, list[Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_prompts(prompts(tmp_path, **columns))


def test_a_prompt_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"give an existing \.csv, \.jsonl, \.json, \.parquet file"):
        load_prompts(yaml(tmp_path, TIDES))
    with pytest.raises(InputError, match="give an existing"):
        load_prompts(tmp_path / "nowhere.csv")
    broken = tmp_path / "broken.parquet"
    broken.write_text("not a table")
    with pytest.raises(InputError, match=r"cannot read prompts from .*broken\.parquet: "):
        load_prompts(broken)


def test_a_circle_in_given_prompts_is_found(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    """The embeddings of nine letters are moved onto a circle, in the order of their labels."""
    count = 12
    letters = [letter for _ in range(count) for letter in "abcdefghi"]
    fillers = [f"{number:02d}" for number in range(count) for _ in range(9)]
    path = prompts(
        tmp_path,
        prompt=[f"{filler} {letter}" for filler, letter in zip(fillers, letters, strict=True)],
        label=[*range(9)] * count,
        period=[9] * 9 * count,
        position=letters,
    )
    claim = load_prompts(path)
    assert isinstance(claim, GivenClaim) and len(claim.given) == 9 * count
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 4, "num_key_value_heads": 2}
    model = Qwen3ForCausalLM(Qwen3Config(vocab_size=len(tokenizer), num_hidden_layers=2, head_dim=4, **sizes)).eval()
    angles = torch.arange(9) * 2 * math.pi / 9
    ids = tokenizer.convert_tokens_to_ids([*"abcdefghi"])
    with torch.no_grad():
        model.model.embed_tokens.weight[ids, 3] = angles.cos()
        model.model.embed_tokens.weight[ids, 7] = angles.sin()
    result = probe(model, tokenizer, [], prompt_file=(path,), renamings=99)
    verdict = result.verdicts.iloc[0]
    assert (verdict["domain"], verdict["quantity"], verdict["verdict"]) == ("letters", "item", "supported")
    assert verdict["layers_held"] == "0-1"
    assert verdict["closure"] > 0.8
    assert list(result.frames["circles"]["item"].unique()) == [str(label) for label in range(9)]
