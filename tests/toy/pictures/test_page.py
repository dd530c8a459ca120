"""The page and what writes it: numbers, pictures, sentences; nothing is fetched, and what is missing is said."""

import csv
import json
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest

from toy.analysis import summary
from toy.analysis.measurements import analyse
from toy.config import AnalysisRequest, ToyConfig
from toy.networks.closed_form import gromov
from toy.networks.model import build
from toy.pictures import animate, families, page, style
from toy.pictures.examine import as_csv, examine
from toy.pictures.material import Material, Picture, gather
from toy.pictures.style import new_figure
from toy.run.errors import InputError
from toy.training.train import train

TINY = ToyConfig(
    modulus=5, d_model=8, n_heads=2, d_mlp=12, train_fraction=0.6, steps=4, checkpoint_every=2, log_every=1
)


@cache
def solved() -> Material:
    model, config = gromov(11, [2, 5], scale=4.0)
    return gather(model, config, analyse(model, config))


class Addresses(HTMLParser):
    """Every src and href of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]


def rendered(folder: Path, picture: Picture, film: str | None = None) -> str:
    pictures = {"02_spectra": picture}
    families.write(folder / "figures", pictures)
    return page.render(folder, solved(), pictures, film, ["a fact"], "python <script>")


# -------------------------------------------------------------------------------------------------------------- page


def test_a_picture_lies_in_the_page_with_its_message_and_sentence(tmp_path: Path) -> None:
    text = rendered(tmp_path, Picture(new_figure(1.0, "keys < all"), "Said & done."))
    image = re.search(r'<img src="data:image/png;base64,([^"]+)" width="(\d+)" height="(\d+)" alt="([^"]+)">', text)
    assert image
    assert image[4] == "keys &lt; all"
    assert (image[2], image[3]) == ("922", "96")
    assert "Said &amp; done." in text
    assert "python &lt;script&gt;" in text
    assert not [address for address in Addresses(text).addresses if re.match(r"https?:|//", address)]


def test_a_family_without_a_figure_is_a_sentence(tmp_path: Path) -> None:
    text = rendered(tmp_path, Picture(None, "It does not apply."))
    assert "<img" not in text
    assert '<p class="absent">It does not apply.</p>' in text


def test_what_has_no_room_is_shown_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "PAGE_LIMIT", 200_001)
    text = rendered(tmp_path, Picture(new_figure(1.0, "a message"), "."))
    assert '<img src="figures/02_spectra.png"' in text


def test_numbers_stand_beside_the_untrained_ones(tmp_path: Path) -> None:
    text = rendered(tmp_path, Picture(None, "."))
    row = re.search(
        r'<th scope="row">keys, neuron rule</th><td class="one">(.*?)</td><td class="none">(.*?)</td>', text
    )
    assert row
    assert sorted(row[1].split()) == ["2", "5"]
    assert row[2] == "none"


# ----------------------------------------------------------------------------------------------------------- summary


def test_the_sentence_says_what_was_measured() -> None:
    material = solved()
    said = summary.sentence(material.config, material.analysis)
    assert said.startswith("a + b modulo 11: 100 % of the questions it was not trained on are right")
    assert "2 key frequencies, 2 and 5, explain 100 % of the logits' variance (untrained < 0.1 %)" in said


def test_without_keys_no_circuit_is_claimed() -> None:
    model = build(TINY).requires_grad_(False)
    analysis = analyse(model, TINY)
    said = summary.sentence(TINY, analysis)
    assert "No frequency is key" in said
    assert "explain" not in said


def test_the_terminal_table_is_aligned() -> None:
    lines = summary.terminal_table(solved().analysis).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert len(lines) == 1 + len(summary.rows(solved().analysis))


# ----------------------------------------------------------------------------------------------------------- examine


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy") / "run"
    train(TINY, folder)
    return folder


def test_a_run_directory_gets_everything(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(animate, "FRAMES_WANTED", 6)  # a shorter film and smaller pictures, of all that is drawn
    monkeypatch.setattr(animate, "HOLD", 2)
    monkeypatch.setattr(style, "DPI", 30)
    seen = []

    def watch(what, steps):
        seen.append((what, list(steps)))
        return steps

    examined = examine(AnalysisRequest(trained), "the command", watch)
    assert seen == [("progress", [0, 2, 4])]
    assert examined.folder == trained
    for name in ("analysis.json", "progress.csv", "film.mp4", "film.gif", "index.html"):
        assert (trained / name).stat().st_size > 0, name
    written = {path.stem for path in (trained / "figures").glob("*.png")}
    assert len(written) == examined.figures
    assert written | {line.split(":")[0] for line in examined.absent} == set(families.FAMILIES)
    assert {path.stem for path in (trained / "figures").glob("*.svg")} == written
    source = json.loads((trained / "analysis.json").read_text())["source"]
    assert (source["step"], source["config"]["modulus"]) == (4, 5)
    with (trained / "progress.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "2", "4"]
    text = (trained / "index.html").read_text(encoding="utf-8")
    assert "data:video/mp4;base64," in text
    for address in Addresses(text).addresses:
        if not address.startswith(("data:", "#")):
            assert (trained / address).exists(), address


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three families in place of all: drawing takes the most time."""
    chosen = {name: families.FAMILIES[name] for name in ("01_grokking_curve", "05_circles", "13_progress")}
    monkeypatch.setattr(families, "FAMILIES", chosen)


@pytest.mark.usefixtures("few")
def test_a_checkpoint_gets_a_folder_beside_it_and_no_history(trained: Path) -> None:
    path = trained / "checkpoints" / "step-000002.pt"
    examined = examine(AnalysisRequest(path), "the command")
    assert examined.folder == path.parent / "step-000002-analysis"
    assert json.loads((examined.folder / "analysis.json").read_text())["source"]["step"] == 2
    names = {path.name for path in examined.folder.iterdir()}
    assert names == {"analysis.json", "figures", "index.html"}
    assert "A film needs the checkpoints of a run directory" in (examined.folder / "index.html").read_text(
        encoding="utf-8"
    )
    assert [line.split(":")[0] for line in examined.absent] == ["01_grokking_curve", "13_progress"]


@pytest.mark.usefixtures("few")
def test_steps_can_be_chosen_and_the_film_left_out(trained: Path, tmp_path: Path) -> None:
    request = AnalysisRequest(trained, out=tmp_path / "out", step=2, steps=(4, 0), film=False)
    examined = examine(request, "the command")
    assert json.loads((examined.folder / "analysis.json").read_text())["source"]["step"] == 2
    assert [line.split(",")[0] for line in (examined.folder / "progress.csv").read_text().splitlines()] == [
        "step",
        "0",
        "4",
    ]
    assert not list(examined.folder.glob("film.*"))
    assert "film" not in (examined.folder / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": 3}, "no checkpoint of step 3: choose from 0, 2, 4"),
        ({"steps": (0, 7)}, "no checkpoint of step 7"),
        ({"task": "multiply"}, "trained on the task 'add', not on 'multiply'"),
    ],
)
def test_what_is_not_there_is_said(trained: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        examine(replace(AnalysisRequest(trained, out=tmp_path / "out"), **changes), "the command")
    assert not (tmp_path / "out").exists()


def test_several_seeds_are_to_be_given_one_by_one(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "seed0").symlink_to(trained)
    with pytest.raises(InputError, match=r"runs of 1 seeds: give one of them, such as .*seed0"):
        examine(AnalysisRequest(tmp_path), "the command")


@pytest.mark.usefixtures("few")
def test_a_place_that_cannot_be_written_is_said(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot write"):
        examine(AnalysisRequest(trained / "checkpoints" / "step-000002.pt", out=tmp_path / "file"), "the command")


def test_csv_gives_a_column_to_every_key() -> None:
    text = as_csv([{"step": 1, "loss": None, "by": {"3": 0.5}}, {"step": 2, "loss": 1 / 3, "by": {"3": 1.0}}])
    assert text == "step,loss,by_3\n1,,0.5\n2,0.333333333,1\n"
