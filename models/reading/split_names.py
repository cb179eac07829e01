"""Names of splits as tools write them (`split_of`, `split_within`): the one table."""

import re

TRAINVAL = "trainval"  # to learn from; val is made from it unless there is one

_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "validate", "dev", "devel", "development"), "val"),
    **dict.fromkeys(("test", "testing", "tst"), "test"),
    **dict.fromkeys(("trainval", "train_val", "train-val"), TRAINVAL),
}
_YEAR = re.compile(r"[ _-]?(19|20)?\d\d$")  # COCO's val2017, VOC's train07


def split_of(name: str) -> str | None:
    """The split that a folder's or list's whole name means: train, val, test, TRAINVAL, or None.

    Any case; a year at the end does not matter.

    Example:
        >>> split_of("Valid"), split_of("val2017"), split_of("trainval"), split_of("trains")
        ('val', 'val', 'trainval', None)
    """
    plain = name.strip().lower()
    return _WORDS.get(plain) or _WORDS.get(_YEAR.sub("", plain))


def split_within(name: str) -> str | None:
    """The split that one word of a name means, or None when there is none or more than one.

    For names that hold more than the split: `instances_val2017`, `seg_train`, `annotations-test.coco`.

    Example:
        >>> split_within("instances_val2017"), split_within("seg_train"), split_within("contest"), split_within("a_b")
        ('val', 'train', None, None)
    """
    if whole := split_of(name):
        return whole
    found = {split for word in re.split(r"[^A-Za-z0-9]+", name) if (split := split_of(word))}
    return TRAINVAL if found == {"train", "val"} else found.pop() if len(found) == 1 else None
