"""The C allocator of a process that runs the same network again and again."""

import ctypes
import sys

# glibc's names and numbers (malloc.h), and what they are set to
M_MMAP_THRESHOLD, MMAP_THRESHOLD = -3, 32 << 20  # bytes; larger blocks come from the kernel. 32 MB is the most it takes
M_TRIM_THRESHOLD, TRIM_THRESHOLD = (
    -1,
    64 << 20,
)  # bytes that may lie free at a heap's end before the kernel gets them back


def keep_freed_memory() -> bool:
    """Let glibc keep what a run has freed for the next one, up to 64 MB a heap; elsewhere do nothing.

    By default it hands activations back to the kernel after every run, and the next one pays for each page again: 13 %
    of a detector's time (docs/BENCHMARKS.md). ONNX Runtime's own arena does not help, since it only ever grows.
    It holds for the whole process, so programs call it and the library does not.

    Returns:
        Whether the allocator took it.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    return mallopt is not None and bool(
        mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD) and mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD)
    )
