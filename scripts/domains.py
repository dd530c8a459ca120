"""What can be probed by name: every domain with its period, its items and its templates; the modular ones by modulus.

python scripts/domains.py                      a line a domain
python scripts/domains.py days mod             their items and every template
python scripts/domains.py --file tides.yaml    a domain of your own, as it is read
"""

from _command import run

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Options:
    """Reads no model."""

    names: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Domains to show with their templates."""
    file: tuple[Path, ...] = ()
    """YAML files of domains of your own."""
    moduli: tuple[int, ...] = (7,)
    """Moduli that stand for all others where templates are shown."""


def main() -> int:
    return run(__file__, Options, __doc__, lambda options, _: show(options), "nothing is written")


def show(options: Options) -> None:
    """Print the list, or the domains that are named."""
    from llm_probe.questions.domains import resolve
    from llm_probe.questions.listing import domain_text, list_text
    from llm_probe.questions.own import load_domain

    own = [load_domain(path) for path in options.file]
    if not options.names and not own:
        print(list_text())
        return
    print("\n\n".join(domain_text(domain) for domain in [*resolve(list(options.names), list(options.moduli)), *own]))


if __name__ == "__main__":
    sys.exit(main())
