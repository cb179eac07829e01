"""Import directions inside the service; BentoML and circus behind one module."""

import ast
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[2] / "service"
HOST = SERVICE / "bentoml_host.py"
LAYERS = [  # a module may import its own layer's and lower ones, and nothing of a sibling in its layer
    {"errors", "settings", "announce", "shutdown"},
    {"observability"},
    {"inference"},
    {"http", "loadtest", "connections"},
    {"application"},
    {"bentoml_host"},
    {"commands"},
]
MODULES = sorted(SERVICE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Names of all imported modules, lazy and TYPE_CHECKING imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SERVICE)))
def test_only_the_host_imports_bentoml_and_circus(path: Path) -> None:
    hosted = {
        name for name in imports(path) if name.split(".")[0] in ("bentoml", "_bentoml_sdk", "_bentoml_impl", "circus")
    }
    assert bool(hosted) == (path == HOST), hosted


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SERVICE)))
def test_imports_point_downwards(path: Path) -> None:
    own = path.relative_to(SERVICE).parts[0].removesuffix(".py")
    if own == "__init__":
        assert not imports(path)
        return
    level = next(i for i, layer in enumerate(LAYERS) if own in layer)
    allowed = set().union(*LAYERS[:level]) | {own}
    for name in imports(path):
        if name.startswith("foveal.service."):
            assert name.split(".")[2] in allowed, f"{path} imports {name}"


def test_the_host_is_one_short_file() -> None:
    assert len(HOST.read_text().splitlines()) < 300
