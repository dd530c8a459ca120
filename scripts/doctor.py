"""What this machine has of what the suite uses, and what each missing piece means.

python scripts/doctor.py             exit code 1 if something that is needed is missing
python scripts/doctor.py --offline   without asking the hub
"""

from _command import run

import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Options:
    """Downloads nothing and runs no model; a few seconds."""

    offline: bool = False
    """Do not ask whether the hub answers."""


def main() -> int:
    return run(__file__, Options, __doc__, examine, "nothing was written, the same command starts again")


def examine(options: Options, _: str) -> int:
    """Print what was found; 1 if something that is needed is missing."""
    from llm_probe.run import doctor

    findings = doctor.examine(online=not options.offline)
    print(doctor.report(findings))
    return int(any(one.state == "missing" for one in findings))


if __name__ == "__main__":
    sys.exit(main())
