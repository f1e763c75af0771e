"""Where the benchmarks keep what they make."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "bench"
