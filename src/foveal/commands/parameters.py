"""Command-line parameters that several commands share, as annotated types for Typer."""

from pathlib import Path
from typing import Annotated

import typer

Zoo = Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")]
Provider = Annotated[str, typer.Option(help="cpu | cuda | tensorrt | openvino")]
PackageName = Annotated[str, typer.Argument(metavar="PACKAGE", help="NAME, NAME@VERSION or a package folder.")]
