"""Splits as a data set states them (`split_as_stated`): used or refused, never shuffled; train gives the missing."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from foveal.errors import BadData
from foveal.models.data.dataset import SPLITS, Sample, Splits, listed
from foveal.models.reading.split_names import TRAINVAL
from foveal.models.reading.splitting import make_splits
from foveal.models.recipe import Recipe

T = TypeVar("T")


def split_as_stated(
    samples: Sequence[Sample[T]],
    split_of: Mapping[str, str],
    recipe: Recipe,
    strata: Callable[[Sample[T]], Mapping[str, int]],
) -> tuple[Splits[T], str]:
    """The splits, and how they came about, in words.

    A split file of the recipe comes first, then what the data set states: val and test stay what they are; a missing
    one is made from train (or TRAINVAL) by the recipe's fraction and seed. A data set that states nothing is split as
    the recipe says.

    Args:
        samples: all of them.
        split_of: sample name -> train, val, test or TRAINVAL; samples without an entry are left out, unless all are.
        recipe: fields of `make_splits`.
        strata: what every split that is made should have its share of.

    Raises:
        BadData: nothing to train on, or as `make_splits`.
    """
    if recipe.split_file is not None:
        return make_splits(samples, recipe, strata), f"splits of {recipe.split_file}"
    if not split_of:
        return make_splits(samples, recipe, strata), f"no splits stated: made with seed {recipe.seed}"
    given = {name: [s for s in samples if split_of.get(s.name) == name] for name in (*SPLITS, TRAINVAL)}
    pool = [*given["train"], *given[TRAINVAL]]
    counts = ", ".join(f"{name} {len(found)}" for name, found in given.items() if found)
    if not pool:
        raise BadData(f"expected images to train with, got the splits {counts or 'of no image that is there'}")
    made = _completed(pool, given, recipe, strata)
    kept = [split for split in ("train", "val", "test") if given[split]]
    words = [f"splits of the data set: {counts}"]
    new = [split for split in ("val", "test") if split not in kept and made[split]]
    words += [f"{split} made from train with seed {recipe.seed}: {len(made[split])} images" for split in new]
    if left_out := [s.name for s in samples if s.name not in split_of]:
        words.append(f"{len(left_out)} images in no split are left out: {listed(left_out[:3])}")
    return made, "; ".join(words)


def _completed(
    pool: Sequence[Sample[T]],
    given: Mapping[str, Sequence[Sample[T]]],
    recipe: Recipe,
    strata: Callable[[Sample[T]], Mapping[str, int]],
) -> Splits[T]:
    val, test = tuple(given["val"]), tuple(given["test"])
    if val and test:
        return Splits(tuple(pool), val, test)
    if test:
        made = make_splits(pool, recipe.model_copy(update={"test_fraction": 0.0}), strata)
        return Splits(made.train, made.val, test)
    if not val:
        return make_splits(pool, recipe, strata)
    if not recipe.test_fraction:
        return Splits(tuple(pool), val, ())
    made = make_splits(
        pool, recipe.model_copy(update={"val_fraction": recipe.test_fraction, "test_fraction": 0.0}), strata
    )
    return Splits(made.train, val, made.val)
