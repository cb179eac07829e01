"""Golden check: does this package, on this machine and provider, still give what it gave when it was built?

The service turns ready on it and `foveal verify` runs it; it goes through the WHOLE pipeline, from the PNG's bytes to
the rendered JSON.
"""

import json
from typing import Any

from foveal.errors import FovealError, GoldenMismatch
from foveal.formats.entry import Entry, entry_object
from foveal.options import Options
from foveal.package import Golden
from foveal.predictor import Predictor


def golden_entry(predictor: Predictor, name: str, image: bytes) -> dict[str, Any]:
    """The JSON object that the pipeline gives for one golden picture under the manifest's default options."""
    options = Options().resolved(predictor.manifest)
    prepared = predictor.prepare(image)
    result = predictor.finish(predictor.infer([prepared], [options])[0], prepared, options)
    return entry_object(Entry(f"{name}.png", result, prepared.exif_orientation), predictor.task, options)


def check_golden(predictor: Predictor) -> None:
    """Reproduce every golden picture.

    Raises:
        GoldenMismatch: with the package, the picture and what differs.
    """
    tolerances = predictor.manifest.golden
    tolerance = tolerances.get(predictor.provider, tolerances["default"])
    for golden in predictor.package.golden:
        try:
            got = golden_entry(predictor, golden.name, golden.image)
            found = predictor.task.differences(_expected(golden), got, tolerance)
        except (FovealError, KeyError, ValueError, TypeError) as error:
            found = [f"{type(error).__name__}: {error}"]
        if found:
            raise GoldenMismatch(
                f"{predictor.package.ref} on {predictor.provider}, golden/{golden.name}.png: {'; '.join(found[:3])}"
            )


def _expected(golden: Golden) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(golden.expected)
    return loaded
