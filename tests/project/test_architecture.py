"""Directions: service -> core; export -> models -> core; the kernel imports none of the three, torch or bentoml."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAGES = {"models": ROOT / "models", "export": ROOT / "export", "service": ROOT / "service"}
KERNEL = ROOT / "src" / "foveal"
LAYERS = [  # inside the core, lower may never import higher
    {"errors", "progress", "tally", "journal"},
    {"image", "preprocess", "results", "options", "manifest", "tiling"},
    {"package", "tasks", "session", "masks", "class_map", "scenes"},
    {"predictor", "zoo", "sources"},
    {"formats", "metrics", "verify", "batch", "job", "cluster", "draw"},
    {"commands", "cli"},
]


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def touches(path: Path, package: str) -> bool:
    return any(name == package or name.startswith(package + ".") for name in imports(path))


@pytest.mark.parametrize("path", files(KERNEL), ids=lambda p: str(p.relative_to(ROOT)))
def test_kernel_imports_no_stage_and_no_heavy_library(path: Path) -> None:
    for forbidden in ("foveal.models", "foveal.export", "foveal.service", "torch", "torchvision", "bentoml"):
        assert not touches(path, forbidden), forbidden
    if touches(path, "pycocotools"):
        assert path.parent.name == "metrics" or path.stem in ("masks", "class_map")


@pytest.mark.parametrize("path", files(KERNEL), ids=lambda p: str(p.relative_to(ROOT)))
def test_kernel_layers_point_downwards(path: Path) -> None:
    def level(name: str) -> int | None:
        return next((i for i, layer in enumerate(LAYERS) if name in layer), None)

    mine = level(path.relative_to(KERNEL).parts[0].removesuffix(".py"))
    if mine is None:
        assert path.name == "__init__.py", f"{path}: give it a place in LAYERS"
        return
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "foveal" and len(parts) > 1 and (theirs := level(parts[1])) is not None:
            assert theirs <= mine, f"{path} imports {name}"


def test_service_is_free_of_torch_and_stages() -> None:
    for path in files(STAGES["service"]):
        for forbidden in ("torch", "torchvision", "foveal.models", "foveal.export"):
            assert not touches(path, forbidden), f"{path} imports {forbidden}"


def test_models_do_not_import_export_or_service() -> None:
    for path in files(STAGES["models"]):
        assert not touches(path, "foveal.export"), path
        assert not touches(path, "foveal.service"), path


def test_nobody_imports_a_stage_by_its_folder_name() -> None:
    """`import models` would make a second copy of foveal.models."""
    everything = [*files(KERNEL), *(p for f in STAGES.values() for p in files(f)), *files(ROOT / "tests")]
    for path in everything:
        for stage in STAGES:
            assert not touches(path, stage), f"{path} imports {stage}"
