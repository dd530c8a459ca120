"""Put `scripts/` first on `sys.path`: its `_command.py`, imported next, adds the repository's root."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
