"""Findings of a diagnosis (`Finding`, `Diagnosis`), in words and numbers, with figures."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from matplotlib.figure import Figure

Verdict = Literal["ok", "note", "fault"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is as it should be (ok), that a person should know (note), or that must be corrected (fault)."""

    step: int  # 1 to 6
    name: str  # short and stable: programs read it
    verdict: Verdict
    words: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Illustration:
    """A figure of a step."""

    step: int
    caption: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Everything that `foveal diagnose` found."""

    task: str
    data: str
    recipe_toml: str
    findings: tuple[Finding, ...]
    images: tuple[Illustration, ...]

    @property
    def healthy(self) -> bool:
        """No fault."""
        return all(finding.verdict != "fault" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """For programs; images and recipe are in the HTML only."""
        findings = [asdict(finding) for finding in self.findings]
        return {"task": self.task, "data": self.data, "healthy": self.healthy, "findings": findings}
