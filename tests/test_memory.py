"""What a run has freed is there for the next one."""

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from foveal.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(12 << 20, np.uint8), np.ones(12 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

if sys.argv[1] == "kept":
    assert keep_freed_memory()
faults()
print(faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_pages_are_paid_for_once() -> None:
    usual, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], check=True, capture_output=True).stdout)
        for how in ("usual", "kept")
    )
    assert usual > 20_000  # 20 times 24 MB, 4096 bytes a page, huge pages aside
    assert kept < usual / 20
