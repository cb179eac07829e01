"""Stages of one image's prediction (`STAGES`) and their measured times (`StageTimings`)."""

from dataclasses import dataclass, field

STAGES = ("decode", "preprocess", "queue", "inference", "postprocess", "encode")


@dataclass
class StageTimings:
    """Start and duration of each stage of one image; a failed image has only the stages it completed."""

    seconds: dict[str, float] = field(default_factory=dict)
    started_at: dict[str, float] = field(default_factory=dict)  # perf_counter()

    def record(self, stage: str, started_at: float, finished_at: float) -> None:
        """Add a completed stage."""
        self.started_at[stage], self.seconds[stage] = started_at, finished_at - started_at
