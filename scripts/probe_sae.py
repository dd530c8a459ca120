"""Find circles in sparse features: latents and groups of them, beside planes, PCA and random weights.

python scripts/probe_sae.py work/sae/reference --random work/sae/reference-random
python scripts/probe_sae.py qwen-scope-3-1.7b-base-w32k-l50/layer13 --model Qwen/Qwen3-1.7B-Base --domains days months

Train the autoencoders with scripts/train_sae.py. An interrupted run goes on where it was.
"""

from _command import ended

import shlex
import sys

import tyro
from _page import rewrite

from sae.config import FeatureProbe


def main() -> int:
    request = tyro.cli(FeatureProbe, description=__doc__, prog="python scripts/probe_sae.py")
    return ended(lambda: _probe(request), f"finished cells are in {request.out / 'cells'}: the same command goes on")


def _probe(request: FeatureProbe) -> None:
    from sae.circles.probe import run

    command = shlex.join(["python", "scripts/probe_sae.py", *sys.argv[1:]])
    result = run(request, command)
    result.write(request.out)
    if request.out.name == "sae":
        rewrite(request.out.parent)
    print(result)
    print(f"\ntables and figures  {request.out}")


if __name__ == "__main__":
    sys.exit(main())
