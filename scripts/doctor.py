"""What this machine has of what the suite uses, and what each missing piece means.

python scripts/doctor.py             exit code 1 if something that is needed is missing
python scripts/doctor.py --offline   without asking the hub
"""

from _command import ended

import sys
from dataclasses import dataclass

import tyro


@dataclass(frozen=True)
class Options:
    """Downloads nothing and runs no model; a few seconds."""

    offline: bool = False
    """Do not ask whether the hub answers."""


def main() -> int:
    options = tyro.cli(Options, description=__doc__, prog="python scripts/doctor.py")
    return ended(lambda: _examine(options), "nothing was written, the same command starts again")


def _examine(options: Options) -> int:
    from llm_probe.run.doctor import examine, report

    findings = examine(online=not options.offline)
    print(report(findings))
    return int(any(one.state == "missing" for one in findings))


if __name__ == "__main__":
    sys.exit(main())
