"""Which directions of a language model carry a cyclic quantity, and is it more than chance?

from llm_probe import probe
result = probe(model, tokenizer, domains=["days", "months"])
print(result)
result.report("report.html")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_probe.questions.domains import Domain as Domain
    from llm_probe.run.probe import ProbeResult as ProbeResult
    from llm_probe.run.probe import probe as probe

__all__ = ["Domain", "ProbeResult", "probe"]


def __getattr__(name: str) -> Any:
    # Deferred: importing the package must not load torch and transformers, which take seconds.
    if name == "Domain":
        from llm_probe.questions.domains import Domain

        return Domain
    # No module may be called `probe`: once imported, it would be what `from llm_probe import probe` gives.
    if name in ("probe", "ProbeResult"):
        from llm_probe.run import probe as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
