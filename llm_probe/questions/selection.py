"""Which claims a run is about: those that its options name, or those of the task that a toy was trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from llm_probe.models.hub import is_toy
from llm_probe.models.loading import LoadedModel
from llm_probe.questions.claims import Claim, claims_of
from llm_probe.questions.domains import Domain, resolve
from llm_probe.questions.own import load_domain, load_prompts
from llm_probe.run.config import ProbeConfig
from toy.run.errors import InputError

OF_LANGUAGE = ("domains", "moduli", "domain_file", "prompt_file")
"""Options that a toy has no use for."""
FEWEST_ITEMS = 4
"""Three points always lie on a circle, in either order round it."""


def named_claims(config: ProbeConfig) -> list[Claim]:
    """The claims that the options of a configuration name; none for a toy.

    Raises:
        InputError: as `claims_for`, or a toy is given domains, moduli or files.
    """
    if not is_toy(config.model):
        return claims_for(config, config.domains)
    given = [name for name in OF_LANGUAGE if getattr(config, name) != getattr(ProbeConfig(), name)]
    if given:
        option = given[0].replace("_", "-")
        raise InputError(f"{config.model} is a toy, which knows its own task only: leave out --{option}")
    return []


def claims_for(config: ProbeConfig, domains: Sequence[str | Domain]) -> list[Claim]:
    """The claims of these domains, of the configuration's domain files and of its prompt files.

    Raises:
        InputError: there is none, a domain is not known, a file cannot be read, or two are called the same.
    """
    described = [load_domain(path) for path in dict.fromkeys(config.domain_file)]
    twice = [name for name, count in Counter(domain.name for domain in described).items() if count > 1]
    if twice:
        raise InputError(f"two domain files describe {twice[0]!r}: give each domain a name of its own")
    named = [*domains, *described]
    own = {domain.name: domain for domain in named if isinstance(domain, Domain)}
    names = [domain if isinstance(domain, str) else domain.name for domain in named]
    # Once each: `mod` and `mod-add` are one, and a domain of one's own replaces one of its name.
    unique = list({domain.name: domain for domain in resolve(names, list(config.moduli), own)}.values())
    if config.templates == "published":
        unique = [replace(domain, questions=dict(list(domain.questions.items())[:1])) for domain in unique]
    claims = claims_of(unique) + [load_prompts(path) for path in dict.fromkeys(config.prompt_file)]
    if not claims:
        raise InputError(
            "no claim is named: give domains with --domains (`mod` with --moduli), or files with --domain-file or "
            "--prompt-file"
        )
    if small := [claim for claim in claims if claim.period < FEWEST_ITEMS]:
        raise InputError(
            f"{small[0].name} has the period {small[0].period}, and any order of so few items is a circle: give "
            f"{FEWEST_ITEMS} items or more"
        )
    twice = [name for name, count in Counter(claim.name for claim in claims).items() if count > 1]
    if twice:
        raise InputError(f"two claims are called {twice[0]!r}: a prompt file is called by its name, rename it")
    return claims


def own_claims(loaded: LoadedModel) -> list[Claim]:
    """The claims about the task that a toy was trained on; none about a language model."""
    return claims_of([loaded.own_domain] if loaded.own_domain else [])
