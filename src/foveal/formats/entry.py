"""One image's outcome and its JSON object: the same bytes under HTTP's `results` and in a line of jsonl."""

import json
from dataclasses import dataclass
from typing import Any

from foveal.errors import FovealError
from foveal.options import Options
from foveal.results import Result
from foveal.tasks import TASKS, Task


@dataclass(frozen=True)
class Entry:
    """What happened to one image: a result, or the error that took its place."""

    name: str | None  # as the caller gave it; None for a raw HTTP body
    outcome: Result | FovealError
    exif_orientation: int = 1

    @property
    def failed(self) -> bool:
        """True when the outcome is an error."""
        return isinstance(self.outcome, FovealError)


def entry_object(entry: Entry, task: Task, options: Options) -> dict[str, Any]:
    """The JSON object of an entry (docs/HTTP.md). `options` are resolved ones."""
    if isinstance(entry.outcome, FovealError):
        error = entry.outcome
        problem = {"status": error.status, "title": error.title, "detail": str(error)}
        return {"image": {"name": entry.name}, "error": problem}
    height, width = entry.outcome.image_hw
    image = {"name": entry.name, "width": width, "height": height, "exif_orientation": entry.exif_orientation}
    return {"image": image, **task.render(entry.outcome, options)}


def to_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; NaN and infinity are refused, since JSON has none."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")


def entry_bytes(entry: Entry, task_name: str, options: Options) -> bytes:
    """`entry_object` as bytes."""
    return to_json(entry_object(entry, TASKS[task_name], options))
