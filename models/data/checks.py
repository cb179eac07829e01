"""Findings of `foveal data check` on one data set (`DataCheck`)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DataCheck:
    """What a person should know before training with a data set; it is clean without `findings`."""

    summary: str  # layout, counts and labels, in one line
    findings: tuple[str, ...]  # lines
