"""Which directions of a language model carry a cyclic quantity, and is it more than chance?

from llm_probe import load, probe
loaded = load("reference")
result = probe(loaded.model, loaded.tokenizer, domains=["days", "months"])
print(result)
result.report("report.html")

`probe_activations` asks the same of states that were read elsewhere; `read_result` reads a results folder.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_probe.models.loading import load as load
    from llm_probe.questions.domains import Domain as Domain
    from llm_probe.questions.own import load_domain as load_domain
    from llm_probe.run.arrays import probe_activations as probe_activations
    from llm_probe.run.probe import probe as probe
    from llm_probe.run.result import ProbeResult as ProbeResult
    from llm_probe.run.result import read_result as read_result
    from llm_probe.statistics.directions import CirclePlane as CirclePlane

__version__ = "0.1.0"

# No module here may be called `probe` or `load`: once imported, it would be what `from llm_probe import probe` gives.
_HOMES = {
    "CirclePlane": "llm_probe.statistics.directions",
    "Domain": "llm_probe.questions.domains",
    "ProbeResult": "llm_probe.run.result",
    "load": "llm_probe.models.loading",
    "load_domain": "llm_probe.questions.own",
    "probe": "llm_probe.run.probe",
    "probe_activations": "llm_probe.run.arrays",
    "read_result": "llm_probe.run.result",
}
__all__ = ["CirclePlane", "Domain", "ProbeResult", "load", "load_domain", "probe", "probe_activations", "read_result"]


def __getattr__(name: str) -> Any:
    # Deferred: importing the package must not load torch and transformers, which take seconds.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
