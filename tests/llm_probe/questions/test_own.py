"""Domains from YAML and prompts from tables: what is read and refused, and a planted circle that is supported."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

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
        ("[low, rising, high, falling, 5]", "low", "`items` must be a list of texts, got 'low' in line 3"),
        ("falling, 5]", "falling, [5]]", "`items` must be a list of texts, got a list in line 3"),
        ("falling, 5]", "falling, null]", r"`items` must be a list of texts, got null \(quoted, it is a text\)"),
        ("falling, 5]", "falling, ]]", "cannot read the domain file .* in line 3"),
        ("falling, 5]", "falling, '{offset}']", "'{offset}' of domain 'tides' cannot be a name"),
        ("falling, 5]", r'falling, "\e[31m"]', r"'\\x1b\[31m' of domain 'tides' cannot be a name"),
        ("falling, 5]", "falling, ' ']", "' ' of domain 'tides' cannot be a name"),
        ("name: tides", r'name: "\u202etides"', "cannot be a name: give text that can be printed"),
        ("name: tides", "name: mod", "'mod' names arithmetic with --moduli: give the domain another name"),
        ("is {item}", "is {item} in {city}", r"holds \{city\}, which nothing fills: it may hold \{item\}"),
        ("is {item}", "is {item} after {offset}", r"holds \{offset\}, which nothing fills"),
        ("{item} is", "{item} mod {modulus} of {modulus} is", r"must hold \{modulus\} exactly once"),
        ("cyclic: true", "name: again", "the key 'name' stands there twice, again in line 8"),
        ('now: "The tide is {item}."', 'a: "{item}"\n  a: "{item}"', "the key 'a' stands there twice, again in line 8"),
        ("cyclic: true", "!!binary AAAA: 1", "a key in line 8 is the type 'binary'"),
        ("cyclic: true", "? [a, b]\n: 1", "a key in line 8 is a list"),
        ("cyclic: true", "partitions: {moving: [0, 1, 0, 1, x]}", "got 'x' in line 8"),
        ("name: tides", "name: 7", "`name` must be text, got 7"),
        ('now: "The tide is {item}."', "[now]", "`statements` must be a mapping of names to texts, got a list"),
        ('"The tide is {item}."', "7", "`statements` must be a mapping of names to texts"),
        ("cyclic: true", "cyclic: maybe", "`cyclic` must be true or false, got 'maybe'"),
        ("largest_offset: 9", "largest_offset: many", "`largest_offset` must be a whole number, got 'many'"),
        ("largest_offset: 9", "largest_offset: 1.5", "`largest_offset` must be a whole number, got 1.5"),
        ("largest_offset: 9", "largest_offset: 1000000000000", "is 1000000000000: give 10,000 or less"),
        ("largest_offset: 9", "largest_offset: -3", "is -3: give 10,000 or less"),
        ("falling, 5]", "falling, 5", "cannot read the domain file .*tides.yaml"),
        (
            "cyclic: true",
            "partitions: [0, 1, 0, 1, 0]",
            "`partitions` must be a mapping of names to the class of every item, a whole number, got a list",
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


def test_items_are_the_words_that_stand_there(tmp_path: Path) -> None:
    """Also those that YAML takes for truth values, octal numbers, times of day and dates."""
    odd = ["on", "no", "007", "12:30", "2024-01-01", "1.10", "0x1F", "1_000", ".inf"]
    text = TIDES.replace("[low, rising, high, falling, 5]", f"[{', '.join(odd)}]")
    assert load_domain(yaml(tmp_path, text)).items == tuple(odd)


def test_an_alias_stands_for_its_text_and_nothing_grows(tmp_path: Path) -> None:
    aliased = TIDES.replace("now:", "first: &t").replace("cyclic", "  second: *t\ncyclic")
    assert load_domain(yaml(tmp_path, aliased)).statements == dict.fromkeys(("first", "second"), "The tide is {item}.")
    nested = "name: x\nitems:\n - &a [lol, lol]\n" + "".join(
        f" - &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefghijkl", "bcdefghijklm", strict=True)
    )
    for text in (nested, "name: x\nitems: &a [*a, *a]\n", "name: x\nitems: &a\n  - 1\n  - *a\n"):
        with pytest.raises(InputError, match="must be a list of texts, got a list"):
            load_domain(yaml(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"name: big\nitems: [{', '.join(map(str, range(10_000)))}]\n", "a list of 10,000 in line 2: give 1,000 items"),
        ("name: deep\nitems: " + "[" * 500, "cannot read the domain file"),
        ("name: long\nitems: [" + "a" * 200_000, "has more than 200,000 bytes"),
        ("name: tag\nitems: !!python/object/apply:os.system [exit]\n", "got the type 'python/object/apply:os.system'"),
    ],
)
def test_a_file_that_would_take_long_is_refused_at_once(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_domain(yaml(tmp_path, text))


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


def test_integers_may_be_written_as_floats(tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path, label=[0.0, *range(1, 9)], period=[9.0] * 9))
    assert [prompt.label for prompt in claim.given] == list(range(9))


def test_the_words_null_and_na_are_words_in_a_csv_file(tmp_path: Path) -> None:
    words = ["NA", "null", "None", "nan", "N/A", "true", "007", "", "-"]
    rows = [f"the code {word}." for word in words]
    claim = load_prompts(prompts(tmp_path, prompt=rows, position=words))
    read = [prompt.text[slice(*prompt.spans["item"])] for prompt in claim.given]
    assert [prompt.text for prompt in claim.given] == rows
    assert read == [*words[:7], rows[7], "-"]  # without a position the last token of the prompt


def test_any_name_of_a_file_is_its_name(tmp_path: Path) -> None:
    for name in ("run[1].csv", "a*?.csv", "~x{1}.csv"):
        path = prompts(tmp_path).rename(tmp_path / name)
        if "{" not in name:
            assert load_prompts(path).domain.name == path.stem
        else:
            with pytest.raises(InputError, match="cannot be a name"):
                load_prompts(path)


def test_a_table_of_a_spreadsheet_begins_with_a_mark(tmp_path: Path) -> None:
    path = prompts(tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert len(load_prompts(path).given) == 9


def test_the_parts_share_no_row(tmp_path: Path) -> None:
    claim = load_prompts(prompts(tmp_path))
    parts = [claim.prompts(part, 100, 0) for part in ("discovery", "confirmation", "causal")]
    assert sorted(prompt.text for part in parts for prompt in part) == [prompt.text for prompt in claim.given]


def test_the_parts_share_no_prompt_that_stands_there_several_times(tmp_path: Path) -> None:
    path = tmp_path / "repeated.csv"  # one text under several labels is still one text
    path.write_text("prompt,label,period\n" + "".join(f"row {row // 4},{row % 4},4\n" for row in range(80)))
    claim = load_prompts(path)
    parts = [{prompt.text for prompt in claim.prompts(part, 10, 0)} for part in ("discovery", "confirmation")]
    assert all(parts) and not parts[0] & parts[1]
    assert sum(len(claim.prompts(part, 10, 0)) for part in ("discovery", "confirmation")) > 40


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": []}, r"lacks the column 'label': it needs prompt, label and period"),
        ({"period": [9] * 8 + [7]}, "holds 2 periods: put prompts of each period into a file of their own"),
        ({"position": ["z"] * 9}, "the position 'z' does not occur in the prompt 'now a or no'"),
        ({"label": ["one"] * 9}, "the label 'one' is not an integer"),
        ({"label": [0.5] * 9}, r"the label '0\.5' is not an integer"),
        ({"period": ["nine"] * 9}, "the period 'nine' is not an integer"),
        ({"label": [1e300] * 9}, r"the label '1e\+300' is not an integer"),
        ({"label": [str(2**53 + 1)] * 9}, "the label '9007199254740993' is not an integer"),
        ({"label": [9, *range(8)]}, "line 2: the label 9 is not one of the period 9: give 0 to 8"),
        ({"label": [*range(8), -1]}, "line 10: the label -1 is not one of the period 9"),
        ({"label": [0, 1, 2] * 3}, "has no prompt with the label 3 of the period 9: give some of each"),
        ({"label": [4] * 9}, "has no prompt with the label 0 of the period 9"),
        ({"label": [*range(8), ""]}, "line 10: the label '' is not an integer"),
        ({"prompt": [*"abcdefgh", ""]}, "line 10: the prompt is empty"),
        ({"prompt": [*"abcdefgh", "  "]}, "line 10: the prompt is '  ', which is no text to be read"),
        ({"period": [2] * 9, "label": [0, 1, 0] * 3}, "at least three different items"),
        ({"period": ["1e9"] * 9}, "has the period 1000000000: give one of 1,000 or less"),
        ({"period": [-7] * 9}, "has the period -7: give one of 1,000 or less"),
    ],
)
def test_a_wrong_prompt_file_is_refused(columns: dict[str, list[Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_prompts(prompts(tmp_path, **columns))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": [None, *"bcdefghi"]}, "line 1: the prompt is empty"),
        ({"prompt": [7, *"bcdefghi"]}, "line 1: the prompt is 7, which is no text to be read"),
        ({"position": [7] * 9}, "line 1: the position is 7, which is no text to be read"),
        ({"label": [True, *range(1, 9)]}, "line 1: the label True is not an integer"),
        ({"label": [[0]] * 9}, r"the label \[0\] is not an integer"),
        ({"label": [None, *range(1, 9)]}, "the label None is not an integer"),
        ({"prompt": ["a \ud800"] * 9}, "which is no text to be read"),
    ],
)
def test_values_of_other_types_are_refused(columns: dict[str, list[Any]], message: str, tmp_path: Path) -> None:
    known = {"prompt": [*"abcdefghi"], "label": list(range(9)), "period": [9] * 9} | columns
    path = tmp_path / "typed.jsonl"
    rows = [{name: column[row] for name, column in known.items()} for row in range(9)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=message):
        load_prompts(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", "", "holds no prompts"),
        ("a.csv", "prompt,label,period\n", "holds no prompts"),
        ("a.csv", "prompt;label;period\na;0;7\n", "lacks the column 'prompt': .* line 2 has 'prompt;label;period'"),
        ("a.csv", "prompt,label,period\na,0,7\nb,1\n", "line 3: 2 cells instead of 3"),
        ("a.csv", 'prompt,label,period\na,0,7\n"b"x,1,7\n', "line 3: ',' expected after '\"'"),
        ("a.csv", 'prompt,label,period\n"a,0,7\n', "line 2: unexpected end of data"),
        ("a.jsonl", '{"prompt": "a"}\n\n{"prompt": \n', "line 3 is no JSON object"),
        ("a.jsonl", "7\n", "line 1 is no JSON object"),
        ("a.json", '{"prompt": {"0": "a"}, "label": {"0": 1}}', "line 1 holds columns instead of a row: write it with"),
        ("a.json", '[{"prompt": "a", "label": 0, "period": 7}, 8]', "row 2 is no JSON object"),
        ("a.json", "[" * 100_000, "cannot read prompts from"),
        ("a.parquet", "not a table", r"cannot read prompts from .*a\.parquet: "),
        ("a.yaml", TIDES, r"give an existing \.csv, \.jsonl, \.json, \.parquet file"),
    ],
)
def test_a_file_that_is_no_table_is_refused(name: str, content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        load_prompts(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "latin.csv").write_bytes("prompt,label,period\nM\xe4rz,0,7\n".encode("latin-1"))
    for name in ("nowhere.csv", "folder.csv"):
        with pytest.raises(InputError, match="give an existing"):
            load_prompts(tmp_path / name)
    with pytest.raises(InputError, match=r"cannot read prompts from .*latin\.csv: .*utf-8"):
        load_prompts(tmp_path / "latin.csv")


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
