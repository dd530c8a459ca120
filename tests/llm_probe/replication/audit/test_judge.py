"""Every rule, one case each."""

from dataclasses import replace

import pytest

from llm_probe.replication.audit.confounds import Confound
from llm_probe.replication.audit.judge import (
    ABOVE,
    CONTRADICTED,
    NO_EVIDENCE,
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
        (FIT, ABOVE, "Nothing simple"),
        (replace(FIT, confounds=(Confound("a·b", 0.96),)), NO_EVIDENCE, "a·b alone has 0.960"),
        (
            replace(FIT, confounds=(Confound("a·b", 0.96), Confound("a fitted cubic polynomial", 0.955))),
            NO_EVIDENCE,
            "No circle",
        ),
        (replace(FIT, null=None), NO_EVIDENCE, "no null"),
        (replace(FIT, p=0.06), NO_EVIDENCE, "Typical of a null: p = 0.06"),
        (replace(FIT, p=0.06, confounds=(Confound("a·b", 0.94),)), NO_EVIDENCE, "Typical"),
        (replace(FIT, confounds=(Confound("a·b", 0.94),)), NO_EVIDENCE, "Nearly explained"),
        (replace(FIT, p=0.05), NO_EVIDENCE, "Neither rare nor typical"),
        (replace(FIT, p=0.01), ABOVE, "Nothing simple"),
        (RIVAL, ABOVE, "Smaller than chance"),
        (replace(RIVAL, circle=0.95, least=0.3), CONTRADICTED, "Impossible"),
        (replace(RIVAL, value=0.98, circle=0.95), CONTRADICTED, "Not little"),
        (replace(RIVAL, p=0.3), NO_EVIDENCE, "So small by chance"),
        (replace(RIVAL, p=0.03), NO_EVIDENCE, "0.03"),
        (SHARE, ABOVE, "28 of 100 right (0.200 to 0.380)"),
        (replace(SHARE, p=0.2), NO_EVIDENCE, "Not more than guessing"),
        (replace(SHARE, p=0.03), NO_EVIDENCE, "guessing gives 0.040"),
        (replace(SHARE, questions=None), NO_EVIDENCE, "how many questions"),
        (replace(SHARE, chance=None), NO_EVIDENCE, "guessing"),
        (replace(SHARE, flaw="all were trained on"), NO_EVIDENCE, "all were trained on"),
        (replace(SHARE, flaw="no extrapolation", fatal=True), CONTRADICTED, "no extrapolation"),
        (ABLATION, NO_EVIDENCE, "no control"),
        (replace(ABLATION, ablations=30), NO_EVIDENCE, "0.057: a drop"),
        (replace(ABLATION, after=14, p=1.0), NO_EVIDENCE, "a chance of 15%"),
        (replace(ABLATION, perplexity=21.7), NO_EVIDENCE, "a factor of 21.7"),
        (replace(ABLATION, perplexity=6.9), NO_EVIDENCE, "no control"),
        (replace(ABLATION, after=0, perplexity=21.7), NO_EVIDENCE, "no control"),
        (replace(ABLATION, before=2, after=14), CONTRADICTED, "The wrong sign"),
        (replace(ABLATION, before=2, after=14, ablations=30), NO_EVIDENCE, "No effect shown"),
        (PerplexityEvidence(18.8, "base_ppl"), NO_EVIDENCE, "18.80"),
        (PerplexityEvidence(2071.2, "ppl_increase_pct"), NO_EVIDENCE, "2071.2 %"),
    ],
)
def test_each_rule(evidence, verdict: str, words: str) -> None:
    ruling, reason = judge(evidence)
    assert ruling == verdict
    assert words in reason.replace(", a drop", ": a drop")
    assert reason.endswith(".") and "nan" not in reason.lower()


def test_p_values_are_printed_with_two_digits() -> None:
    assert [p_text(p) for p in (0.995, 0.51, 0.0123, 0.0001, 0.0)] == ["1.00", "0.51", "0.012", "1e-04", "below 1e-12"]
