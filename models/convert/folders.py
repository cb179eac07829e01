"""The writer of classification: one folder a class, below folders of splits where there are any."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from foveal.errors import BadData
from foveal.models.convert.item import Item, Job
from foveal.models.convert.names import safe


def write_folders(job: Job, items: Iterable[Item]) -> None:
    """<split>/<class>/<image>; names of classes are made safe.

    Raises:
        BadData: two classes would share a folder.
    """
    folder_of = [_folder(label) for label in job.labels]
    if len({folder.lower() for folder in folder_of}) < len(folder_of):
        raise BadData(f"expected classes whose names differ in more than case and special characters: {folder_of}")
    changed = sum(folder != label for folder, label in zip(folder_of, job.labels, strict=True))
    job.loss.add("names of classes are changed: folders cannot have them", changed)
    for item in items:
        parts = (item.split, folder_of[item.truth]) if item.split else (folder_of[item.truth],)
        job.place(item, str(PurePosixPath(*parts)))


def _folder(label: str) -> str:
    """Inner spaces are fine in a folder's name."""
    return " ".join(safe(word) for word in label.split(" ")) if label.strip() == label else safe(label)
