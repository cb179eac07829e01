"""Entries (`Entry`): one image's outcome and its JSON object, the same under HTTP's `results` and in jsonl."""

import json
import re
from dataclasses import dataclass
from typing import Any

from foveal.errors import FovealError
from foveal.options import Options
from foveal.results import Result
from foveal.tasks import TASKS, Task

# delete and C1, then marks of direction, line and paragraph separators, invisible marks; C0 JSON escapes by itself
_OBEYED = re.compile("[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Entry:
    """What happened to one image: a result, or the error that took its place."""

    name: str | None  # as the caller gave it; None for a raw HTTP body
    outcome: Result | FovealError
    exif_orientation: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.outcome, FovealError):  # entries are kept: the frames of its traceback hold decoded pixels
            self.outcome.__context__ = self.outcome.__cause__ = None
            self.outcome.__traceback__ = None

    @property
    def text_name(self) -> str | None:
        r"""The name as UTF-8 can hold it: a file name's other bytes as `\xff`, lone surrogates as `\ud800`."""
        if self.name is None or not _SURROGATE.search(self.name):
            return self.name
        name = _SURROGATE.sub(
            lambda found: found[0] if "\udc80" <= found[0] <= "\udcff" else repr(found[0])[1:-1], self.name
        )
        return name.encode(errors="surrogateescape").decode(errors="backslashreplace")

    @property
    def failed(self) -> bool:
        """True when the outcome is an error."""
        return isinstance(self.outcome, FovealError)


def entry_object(entry: Entry, task: Task, options: Options) -> dict[str, Any]:
    """The JSON object of an entry (docs/HTTP.md). `options` are resolved ones."""
    if isinstance(entry.outcome, FovealError):
        error = entry.outcome
        problem = {"status": error.status, "title": error.title, "detail": str(error)}
        return {"image": {"name": entry.text_name}, "error": problem}
    height, width = entry.outcome.image_hw
    image = {"name": entry.text_name, "width": width, "height": height, "exif_orientation": entry.exif_orientation}
    return {"image": image, **task.render(entry.outcome, options)}


def to_json(value: Any) -> bytes:
    """Compact UTF-8 JSON; NaN and infinity are refused, since JSON has none.

    Characters that a terminal would obey, or that turn the direction of text, are escaped: names come from outside.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if not text.isascii() or "\x7f" in text:
        text = _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode(errors="replace")


def entry_bytes(entry: Entry, task_name: str, options: Options) -> bytes:
    """`entry_object` as bytes."""
    return to_json(entry_object(entry, TASKS[task_name], options))
