"""The two figures and their tables: every number that is given is there, and where it belongs."""

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from llm_probe.calibration import figure
from llm_probe.calibration.harness import FalsePositiveRow, PowerRow
from llm_probe.page.style import RANDOM, TRAINED

ROWS = [
    FalsePositiveRow("p_fwer (planes)", "all", 1000, 0.044, 0.032, 0.059),
    FalsePositiveRow("p_fwer (planes)", "magnitudes", 550, 0.05, 0.03, 0.07),
    FalsePositiveRow("p_fwer (planes)", "names", 120, 0.025, 0.005, 0.07),
    FalsePositiveRow(figure.COMPARED[1], "all", 1000, 0.868, 0.845, 0.888),
    FalsePositiveRow(figure.COMPARED[1], "magnitudes", 550, 0.9, 0.87, 0.92),
    FalsePositiveRow("supported", "all", 1000, 0.001, 0.0, 0.006),
]
PLANE = "plane, k = 1, every modulus"
POWER = [
    PowerRow("supported", PLANE, 0.1, 40, 0.2, 0.09, 0.36),
    PowerRow("supported", PLANE, 1.0, 40, 1.0, 0.91, 1.0),
    PowerRow("p_selective", PLANE, 0.1, 40, 0.5, 0.34, 0.66),
    PowerRow("supported", "grokked toy", 1.0, 7, 1.0, 0.59, 1.0),
]


def test_the_table_of_rates() -> None:
    lines = figure.rates_text(ROWS).splitlines()
    assert lines[1].split() == ["statistic", "networks", "fires", "95", "%", "interval", "magnitudes", "names"]
    assert [line[:28].strip() for line in lines[2:]] == ["supported", "p_fwer (planes)", figure.COMPARED[1]]
    assert lines[2].split()[1:] == ["1,000", "0.001", "0.000-0.006", "-", "-"]
    assert lines[3].split()[2:] == ["1,000", "0.044", "0.032-0.059", "0.050", "0.025"]


def test_the_table_of_power_shows_a_tenth_or_what_is_nearest() -> None:
    text = figure.power_text(POWER)
    lines = text.splitlines()
    assert lines[-3].split() == ["statistic", "0.1", "sd", "1", "sd"]
    assert lines[-2].split() == ["supported", "0.20", "(0.09-0.36)", "1.00", "(0.59-1.00)"]
    assert lines[-1].split() == ["p_selective", "0.50", "(0.34-0.66)", "-"]


def test_each_statistic_has_its_line_and_those_not_printed_stand_apart() -> None:
    axes = Figure().subplots()
    figure.rates(axes, ROWS)
    dots = [line for line in axes.lines if line.get_markersize() == 7]
    # Its y, then the next: the gap before what is not printed is wider.
    heights = [float(line.get_ydata()[0]) for line in dots]
    assert [float(line.get_xdata()[0]) for line in dots] == [0.001, 0.044, 0.868]
    assert heights[2] - heights[1] > heights[1] - heights[0]
    assert [line.get_color() for line in dots] == [TRAINED, TRAINED, RANDOM]
    small = [line for line in axes.lines if line.get_markersize() == 4.5]
    assert sorted(float(line.get_xdata()[0]) for line in small) == [0.025, 0.05, 0.9]
    assert axes.get_xlim() == (0, 1)
    assert min(text.get_fontsize() for text in axes.texts) >= 9


def test_power_lines_hold_the_given_numbers() -> None:
    axes = Figure().subplots()
    rows = [row for row in POWER if row.planted == PLANE]
    figure.power_over_amplitude(axes, rows, ["supported", "p_selective"])
    lines = {line.get_color(): line for line in axes.lines}
    supported = lines[figure.STYLES["supported"]["color"]]
    assert list(supported.get_ydata()) == [0.2, 1.0]
    assert list(supported.get_xdata()) == pytest.approx([0.1, 1.0], rel=0.05)  # a little aside of the other's


def test_files_are_written_and_power_only_where_there_is_some(tmp_path: Path) -> None:
    assert {path.name for path in figure.write(tmp_path / "a", ROWS, POWER)} == {
        "false_positives.svg", "false_positives.png", "power.svg", "power.png"
    }  # fmt: skip
    assert "grokked toy" not in (tmp_path / "a" / "power.svg").read_text()
    alone = figure.write(tmp_path / "b", ROWS, [])
    assert [path.name for path in alone] == ["false_positives.svg", "false_positives.png"]
    # The same bytes again: results are committed.
    before = alone[0].read_bytes()
    assert figure.write(tmp_path / "b", ROWS, [])[0].read_bytes() == before
