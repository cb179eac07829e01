"""Exceptions (`FovealError`): everything a user can get wrong, with its HTTP status.

A message says what was expected and what came. `assert` is for Foveal's own bugs; a fault of the user, of a file or of
a request is a FovealError. `status` is the HTTP status of the fault: it stands in an error's JSON entry, which the CLI
writes too (same bytes), so it lives here and not in the service. The CLI prints the message and exits with 1 or 2.
"""

from collections.abc import Iterable


class FovealError(Exception):
    """Base of all user faults: what a caller, a file or a machine got wrong.

    `str(error)` says what was expected and what came.

    Attributes:
        title: short, stable name of the fault.
        status: its HTTP status.

    Example:
        >>> import foveal
        >>> try:
        ...     foveal.load("cells")
        ... except foveal.FovealError as error:
        ...     print(error)
        unknown model 'cells'; choices: aerial-scenes, blood-cells, coco-nano, nuclei, shapes, sign-digits
    """

    title = "Foveal error"
    status = 500


class BadImage(FovealError):
    """The bytes are an image of a type we read, but they do not decode (truncated, corrupt, empty)."""

    title = "Image cannot be decoded"
    status = 422


class UnsupportedImage(BadImage):
    """The bytes are not an image of a type or variant that we read; the file may be sound."""

    title = "Not an image type that Foveal reads"
    status = 415


class ImageTooLarge(BadImage):
    """More bytes or pixels than the limit allows; found in the header, before anything is decoded."""

    title = "Image too large"
    status = 413


class BadRequest(FovealError):
    """A parameter is malformed, unknown, out of range or does not apply to the task."""

    title = "Bad parameter"
    status = 400


class UnknownName(FovealError):
    """A name that is not registered; the message lists the choices."""

    title = "Unknown name"
    status = 404

    @classmethod
    def among(cls, kind: str, got: str, choices: Iterable[str]) -> "UnknownName":
        """The standard message: what kind of name, what came, what there is."""
        listed = ", ".join(sorted(choices)) or "none"
        return cls(f"unknown {kind} {got!r}; choices: {listed}")


class BadPackage(FovealError):
    """A model package is incomplete, altered or inconsistent; the message names the file."""

    title = "Model package is not valid"


class BatchMismatch(BadPackage):
    """A package whose images answer otherwise in a batch than alone."""

    title = "Batches do not answer as their images do"


class GoldenMismatch(BadPackage):
    """A package did not reproduce its own golden results on this machine and execution provider."""

    title = "Golden results were not reproduced"


class BadData(FovealError):
    """A data set cannot be read: layout not recognised, files missing, labels inconsistent."""

    title = "Data set is not valid"


class BadReference(BadData):
    """A reference of an import that cannot be read or holds what no answer can be; says what was expected."""

    title = "Reference is not valid"


class BadRecipe(FovealError):
    """A recipe field is unknown, of the wrong type or out of range."""

    title = "Recipe is not valid"


class BadCheckpoint(FovealError):
    """A run folder or weights file cannot be loaded into the model that was asked for."""

    title = "Checkpoint cannot be loaded"


class ParityFailure(FovealError):
    """The exported graph does not do what the trained model did. Nothing is written when this is raised."""

    title = "Export does not match the trained model"


class ImportMismatch(ParityFailure):
    """A compiled graph that does not answer as the imported file."""

    title = "Compiled graph does not answer as the file"


class ReferenceMismatch(ParityFailure):
    """An imported package does not answer as its own framework did. Nothing is written when this is raised."""

    title = "Import does not match the reference"


class BadEnsemble(FovealError):
    """Packages whose answers cannot be averaged: other tasks, labels, model inputs or test images."""

    title = "Packages cannot be averaged"


class BadModelFile(FovealError):
    """A foreign model file that cannot be imported; says what was expected of it."""

    title = "Model file cannot be imported"


class BadResult(FovealError):
    """Arrays that do not make a result: wrong shape or dtype, scores out of order, NaN; a bug, or a model's."""

    title = "Result is not valid"


class BadOutput(FovealError):
    """The place to write to exists already or cannot be written."""

    title = "Output cannot be written"


class OutOfMemory(FovealError):
    """A graph asked for more memory than this process may use."""

    title = "Not enough memory"
    status = 503


class ProviderUnavailable(FovealError):
    """The requested ONNX Runtime execution provider did not start (strict mode)."""

    title = "Execution provider not available"
