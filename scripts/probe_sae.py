"""Find circles in sparse features: latents and groups of them, beside planes, PCA and random weights.

python scripts/probe_sae.py work/sae/reference --random work/sae/reference-random
python scripts/probe_sae.py qwen-scope-3-1.7b-base-w32k-l50/layer13 --model Qwen/Qwen3-1.7B-Base --domains days months

Train the autoencoders with scripts/train_sae.py. An interrupted run goes on where it was.
"""

from _command import run

import sys

from _page import rewrite

from sae.config import FeatureProbe


def main() -> int:
    return run(__file__, FeatureProbe, __doc__, _probe, "finished cells are in {0.out}/cells: the same command goes on")


def _probe(request: FeatureProbe, command: str) -> None:
    from sae.circles.probe import run as study

    result = study(request, command)
    result.write(request.out)
    if request.out.name == "sae":
        rewrite(request.out.parent)
    print(result)
    print(f"\ntables and figures  {request.out}")


if __name__ == "__main__":
    sys.exit(main())
