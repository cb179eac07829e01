"""Start-up times: of `import foveal` and of the first answer, medians of fresh interpreters."""

import statistics
import subprocess
import sys
from time import perf_counter

RUNS = 10
CODES = {
    "nothing": "",
    "import foveal": "import foveal",
    "load and predict": "import foveal; foveal.load('shapes')('examples/shapes.png')",
}


def main() -> None:
    """One line a code, run in turn so that a busy machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in CODES}
    for _ in range(RUNS):
        for name, code in CODES.items():
            start = perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True)
            times[name].append(perf_counter() - start)
    for name, seconds in times.items():
        print(f"{name:20} {statistics.median(seconds):.3f} s")


if __name__ == "__main__":
    main()
