"""Put the repository root first on `sys.path`, so that `python scripts/….py` works from a plain checkout."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
