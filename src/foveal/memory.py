"""Memory that this process may use (`memory_limit`) and does use (`resident_bytes`), in bytes, as Linux reports it."""

import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def memory_limit() -> int:
    """The tightest limit of this process's memory cgroups (version 1 or 2), else the memory of the machine."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_cgroup_limits()])


def resident_bytes(pid: int | str = "self") -> int:
    """Anonymous memory of a process: what no other process could share and only its end would free; 0: unknown."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon:")), 0)


def _cgroup_limits() -> Iterator[int]:
    """Limits of the process's own cgroup and of all above it; a container sees its own as the root."""
    try:
        lines = (PROC / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            yield from _limits_upwards(CGROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_upwards(CGROUPS / "memory", path, "memory.limit_in_bytes")


def _limits_upwards(mount: Path, path: str, file: str) -> Iterator[int]:
    parts = [part for part in path.split("/") if part]
    for depth in range(len(parts), -1, -1):
        try:
            text = mount.joinpath(*parts[:depth], file).read_text().strip()
        except OSError:  # not mounted here, or the path is that of the host
            continue
        if text.isdecimal():  # "max": none
            yield int(text)
