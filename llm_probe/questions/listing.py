"""The domains as text for a terminal: one line each, or one of them with all its templates."""

from __future__ import annotations

import textwrap

from llm_probe.questions.domains import DOMAINS, MODULAR_NAMES, SMALLEST_MODULUS, Domain
from llm_probe.run.config import DEFAULT_MODULI
from toy.run import terminal

HEAD = ("domain", "period", "kind", "items")


def list_text() -> str:
    """Every named domain, then what stands for one domain a modulus."""
    rows = [HEAD, *((domain.name, str(domain.period), _kind(domain), _ends(domain)) for domain in DOMAINS.values())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD) - 1)]
    lines = [
        "  ".join([*(f"{cell:{width}}" for cell, width in zip(row[:-1], widths, strict=True)), row[-1]]) for row in rows
    ]
    moduli = ", ".join(map(str, DEFAULT_MODULI))
    lines += [
        "",
        f"{', '.join(MODULAR_NAMES)}: a domain for each of --moduli ({moduli}; any from {SMALLEST_MODULUS} on)",
        "a domain of your own: --domain-file; prompts of your own: --prompt-file",
    ]
    return "\n".join(lines)


def domain_text(domain: Domain) -> str:
    """One domain: its items and every template."""
    width = max(60, terminal.width(100))
    lines = [f"{domain.name}: period {domain.period}, {_kind(domain)}"]
    lines += textwrap.wrap(", ".join(domain.items), width, initial_indent="  ", subsequent_indent="  ")
    names = max(map(len, [*domain.questions, *domain.statements]))
    for title, templates in (("questions", domain.questions), ("statements", domain.statements)):
        lines += [title, *(f"  {name:{names}}  {text}" for name, text in templates.items())] if templates else []
    for name, classes in domain.partitions.items():
        groups = [", ".join(domain.items[at] for at, own in enumerate(classes) if own == one) for one in set(classes)]
        lines += textwrap.wrap(f"{name}: {' | '.join(groups)}", width, subsequent_indent="  ")
    return "\n".join(lines)


def _kind(domain: Domain) -> str:
    return "cyclic" if domain.cyclic else "linear control"


def _ends(domain: Domain) -> str:
    """The first items and the last."""
    items = domain.items
    return ", ".join(items) if len(items) <= 4 else f"{items[0]}, {items[1]}, … {items[-1]}"
