"""Reading published claims: good rows go on, bad rows are named by line."""

import csv
from pathlib import Path

import pytest

from llm_probe.replication.audit.claims import COLUMNS, METRICS, beside, read_claims
from tests.root import ROOT
from toy.run.errors import InputError

GOOD = {
    "source": "a paper", "model": "M", "experiment": "e", "domain": "days", "modulus": "7", "layer": "14", "dim": "3",
    "frequency": "1", "metric": "fourier_r2_residue_means", "value": "0.9",
}  # fmt: skip


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_row_is_read_whole(tmp_path: Path) -> None:
    (claim,), refusals = read_claims(write(tmp_path / "claims.csv", GOOD))
    assert (claim.modulus, claim.layer, claim.dim, claim.frequency, claim.value, claim.line) == (7, 14, 3, 1, 0.9, 2)
    assert claim.cell == ("M", 7, 14, 3)
    assert refusals == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"metric": "vibes"}, "unknown statistic 'vibes'"),
        ({"value": "high"}, "'high' is no number"),
        ({"value": "nan"}, "at least 0 and at most 1"),
        ({"value": "1.2"}, "at least 0 and at most 1"),
        ({"value": ""}, "'value' is missing"),
        ({"source": " "}, "'source' is missing"),
        ({"modulus": ""}, "needs the field 'modulus'"),
        ({"modulus": "7.5"}, "the modulus must be a whole number"),
        ({"modulus": "4"}, "from 5 to 1000"),
        ({"frequency": "4"}, "frequency 4 is not from 1 to 3"),
        ({"dim": "-1"}, "the dim must be a whole number"),
        ({"metric": "base_ppl", "value": "0.5"}, "at least 1, not 0.5"),
    ],
)
def test_a_bad_row_is_refused_by_line_and_the_others_go_on(tmp_path: Path, change: dict[str, str], named: str) -> None:
    claims, refusals = read_claims(write(tmp_path / "claims.csv", GOOD, GOOD | change, GOOD))
    assert [claim.line for claim in claims] == [2, 4]
    (refusal,) = refusals
    assert refusal.startswith("line 3 of claims.csv is refused") and named in refusal


def test_short_and_long_rows_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "claims.csv", GOOD)
    with path.open("a", encoding="utf-8") as file:
        file.write("a,b,c\n" + ",".join(["1"] * 11) + "\n")
    claims, refusals = read_claims(path)
    assert len(claims) == 1
    assert "'domain' is missing" in refusals[0] and "more than 10 fields" in refusals[1]


def test_whole_numbers_written_with_a_point_are_read(tmp_path: Path) -> None:
    (claim,), _ = read_claims(write(tmp_path / "claims.csv", GOOD | {"modulus": "7.0", "dim": ""}))
    assert claim.modulus == 7 and claim.dim is None


def test_no_file_and_no_header_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        read_claims(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot read"):
        read_claims(tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no column 'source'"):
        read_claims(tmp_path / "other.csv")
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="not a CSV file"):
        read_claims(tmp_path / "bytes.csv")


def test_the_committed_claims_are_all_read() -> None:
    claims, refusals = read_claims(ROOT / "results" / "published" / "claims.csv")
    assert refusals == [] and len(claims) == 750
    assert {claim.metric for claim in claims} == set(METRICS)
    best = next(one for one in claims if one.experiment == "prime_generalization_top10" and one.dim == 505)
    assert best.modulus == 7 and best.frequency == 3 and best.value == pytest.approx(0.9967, abs=5e-5)
    near = beside(best, claims, "fourier_r2_residue_means", "cubic_r2_residue_means")
    assert near == {"fourier_r2_residue_means": best.value}
