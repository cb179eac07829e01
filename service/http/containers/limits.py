"""What every container keeps to: the number of images in a request, and names that are safe to show."""

from foveal.errors import BadRequest
from foveal.service.errors import BodyTooLarge
from foveal.service.inference.served_model import Upload

MAX_NAME = 255  # characters, as file systems allow


def clean_name(name: str) -> str:
    """A client's file name, safe for JSON, logs and terminals: without control characters, of limited length."""
    return "".join(c if c.isprintable() else "�" for c in name[:MAX_NAME])


def at_least_one(uploads: list[Upload], what: str) -> list[Upload]:
    """The same uploads. Raises BadRequest: there are none."""
    if not uploads:
        raise BadRequest(f"expected {what}, got none")
    return uploads


def too_many(limit: int) -> BodyTooLarge:
    """The error of a request with more than `limit` images."""
    return BodyTooLarge(f"expected at most {limit} images in one request, got more")
