"""The doctor: each missing piece is found and explained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llm_probe.run import doctor
from llm_probe.run.doctor import examine, report


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the requirements alone."""
    for name in (doctor.REQUIREMENTS, *doctor.OPTIONAL, doctor.LOCK):
        shutil.copy(doctor.ROOT / name, tmp_path / name)
    (tmp_path / "results").mkdir()
    return tmp_path


def test_absent_weights_are_missing_and_explained(checkout: Path) -> None:
    findings = {one.what: one for one in examine(checkout, online=False)}
    assert findings["reference model"].state == "missing"
    assert "train_reference_lm" in findings["reference model"].means
    assert findings["requirements.txt"].state in ("ok", "note")
    assert report(list(findings.values())).endswith("missing: reference model")


def test_packages_that_are_absent_old_or_not_locked(checkout: Path) -> None:
    (checkout / doctor.REQUIREMENTS).write_text("nothing-of-this-name>=1\nnumpy>=99\n")
    one = next(one for one in examine(checkout, online=False) if one.what == "requirements.txt")
    assert one.state == "missing" and "nothing-of-this-name is not installed" in one.seen and "numpy" in one.seen
    (checkout / doctor.REQUIREMENTS).write_text("numpy>=1\n")
    (checkout / doctor.LOCK).write_text("numpy==1.0\n")
    one = next(one for one in examine(checkout, online=False) if one.what == "requirements.txt")
    assert one.state == "note" and "locked 1.0" in one.seen


def test_an_installed_package_is_asked_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["numpy>=1", "nothing-of-this-name>=1", 'sae-lens>=6; extra == "sae"']
    monkeypatch.setattr(doctor.importlib.metadata, "requires", lambda _: needs)
    (one,) = (one for one in examine(tmp_path, online=False) if one.what == "packages")
    assert one.state == "missing" and one.seen == "nothing-of-this-name is not installed"


def test_programs_that_are_absent_are_notes(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    findings = {one.what: one for one in examine(checkout, online=False)}
    assert {findings[name].state for name in doctor.PROGRAMS} == {"note"}
    assert all(findings[name].means for name in doctor.PROGRAMS)


def test_a_hub_that_does_not_answer_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(endpoint: str) -> None:
        raise OSError("no route")

    monkeypatch.setattr(doctor, "_connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    (one,) = doctor._hub(online=True)
    assert one.state == "note" and "no route" in one.seen and "HF_HUB_OFFLINE=1" in one.means


def test_a_check_that_fails_is_a_finding(checkout: Path) -> None:
    (checkout / doctor.LOCK).unlink()
    findings = examine(checkout, online=False)
    assert any(one.what == "check" and "FileNotFoundError" in one.seen for one in findings)
    assert any(one.what == "cpu" for one in findings)  # the others still run
