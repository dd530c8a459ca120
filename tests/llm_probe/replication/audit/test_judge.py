"""Every rule, one case each."""

from dataclasses import replace

import pytest

from llm_probe.replication.audit.confounds import Confound
from llm_probe.replication.audit.judge import (
    AblationEvidence,
    FitEvidence,
    PerplexityEvidence,
    RivalEvidence,
    ShareEvidence,
    judge,
    p_text,
)

FIT = FitEvidence(0.95, "the best of 9 dimensions", "white noise", 0.5, 0.8, 0.001)
RIVAL = RivalEvidence(0.1, "quadratic", "white noise", 0.2, 0.005, None, 0.0)
SHARE = ShareEvidence(0.28, 28, 100, 0.04, 1e-9, 0.2, 0.38)
ABLATION = AblationEvidence(14, 2, 50, 0.0019, 1, 0.09, 0.38, 0.15)


@pytest.mark.parametrize(
    ("evidence", "verdict", "words"),
    [
        (FIT, "supported", "Nothing simple"),
        (replace(FIT, confounds=(Confound("a·b", 0.96),)), "refuted", "a·b alone has 0.960"),
        (
            replace(FIT, confounds=(Confound("a·b", 0.96), Confound("a fitted cubic polynomial", 0.955))),
            "refuted",
            "No circle",
        ),
        (replace(FIT, null=None), "undetermined", "no null"),
        (replace(FIT, p=0.06), "refuted", "Typical of a null: p = 0.06"),
        (replace(FIT, p=0.06, confounds=(Confound("a·b", 0.94),)), "refuted", "Typical"),
        (replace(FIT, confounds=(Confound("a·b", 0.94),)), "undetermined", "Nearly explained"),
        (replace(FIT, p=0.05), "undetermined", "Neither rare nor typical"),
        (replace(FIT, p=0.01), "supported", "Nothing simple"),
        (RIVAL, "supported", "Smaller than chance"),
        (replace(RIVAL, circle=0.95, least=0.3), "refuted", "Impossible"),
        (replace(RIVAL, value=0.98, circle=0.95), "refuted", "Not little"),
        (replace(RIVAL, p=0.3), "refuted", "So small by chance"),
        (replace(RIVAL, p=0.03), "undetermined", "0.03"),
        (SHARE, "supported", "28 of 100 right (0.200 to 0.380)"),
        (replace(SHARE, p=0.2), "refuted", "Not more than guessing"),
        (replace(SHARE, p=0.03), "undetermined", "guessing gives 0.040"),
        (replace(SHARE, questions=None), "undetermined", "how many questions"),
        (replace(SHARE, chance=None), "undetermined", "guessing"),
        (replace(SHARE, flaw="all were trained on"), "undetermined", "all were trained on"),
        (replace(SHARE, flaw="no extrapolation", fatal=True), "refuted", "no extrapolation"),
        (ABLATION, "undetermined", "no control"),
        (replace(ABLATION, ablations=30), "undetermined", "0.057: a drop"),
        (replace(ABLATION, after=14, p=1.0), "undetermined", "a chance of 15%"),
        (replace(ABLATION, perplexity=21.7), "refuted", "a factor of 21.7"),
        (replace(ABLATION, perplexity=6.9), "undetermined", "no control"),
        (replace(ABLATION, after=0, perplexity=21.7), "undetermined", "no control"),
        (PerplexityEvidence(18.8, "base_ppl"), "undetermined", "18.80"),
        (PerplexityEvidence(2071.2, "ppl_increase_pct"), "undetermined", "2071.2 %"),
    ],
)
def test_each_rule(evidence, verdict: str, words: str) -> None:
    ruling, reason = judge(evidence)
    assert ruling == verdict
    assert words in reason.replace(", a drop", ": a drop")
    assert reason.endswith(".") and "nan" not in reason.lower()


def test_p_values_are_printed_with_two_digits() -> None:
    assert [p_text(p) for p in (0.995, 0.51, 0.0123, 0.0001, 0.0)] == ["1.00", "0.51", "0.012", "1e-04", "below 1e-12"]
