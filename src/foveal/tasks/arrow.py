"""Arrow types of JSON entries, for Parquet; pyarrow is an extra and is imported when it is asked for."""

from typing import Any

from foveal.errors import FovealError


def pyarrow() -> Any:
    """The module.

    Raises:
        FovealError: it is not installed.
    """
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise FovealError("format 'parquet' needs 'pyarrow': pip install 'foveal[parquet]'") from None
    return pyarrow


def struct(**fields: Any) -> Any:
    """A struct type of named fields, in this order."""
    return pyarrow().struct(list(fields.items()))


def scored() -> dict[str, Any]:
    """Fields of a class or an object with its score; numbers have the digits that JSON has."""
    pa = pyarrow()
    return {"label": pa.string(), "class_id": pa.int32(), "score": pa.float64()}


def run_lengths() -> dict[str, Any]:
    """Fields of COCO's compressed run lengths."""
    pa = pyarrow()
    return {"size": pa.list_(pa.int32()), "counts": pa.string()}


def mask_member(formats: dict[str, dict[str, Any]], chosen: str) -> dict[str, Any]:
    """The member `mask` in the chosen format; none for "none" and for a format that rendering refuses."""
    return {"mask": struct(format=pyarrow().string(), **formats[chosen])} if chosen in formats else {}
