"""Architecture: directions between stages and rooms, no circles, no bags, and what each room may import."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACES = {"foveal": "src/foveal", "foveal.models": "models", "foveal.export": "export", "foveal.service": "service"}
STAGES = ("foveal.models", "foveal.export", "foveal.service")
ORDER = (  # of the core's children: each imports only what stands before it
    ("errors", "progress", "terminal", "text_files", "extras", "memory", "cancellation"),
    ("imaging",),
    ("results", "options"),
    ("packages",),
    ("tasks",),
    ("metrics", "synth", "formats"),
    ("inference",),
    ("batch",),
    ("commands", "cli", "__main__"),
)
ALLOWED = {  # heavy library -> the modules that may import it, by prefix
    "torch": ("foveal.models", "foveal.export"),
    "torchvision": ("foveal.models", "foveal.export"),
    "lightning": ("foveal.models",),
    "bentoml": ("foveal.service.bentoml_host",),
    "circus": ("foveal.service.bentoml_host",),
    "onnx": ("foveal.export",),
    "ray": ("foveal.batch.cluster",),
}
MAX_MODULES = 12
REGISTRIES = ("foveal.models.backbones",)  # one file an entry
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 320


def _modules() -> dict[str, Path]:
    """Module name -> file, of everything that is installed."""
    found = {}
    for package, folder in PLACES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            found[".".join((package, *parts)).removesuffix(".__init__")] = path
    return found


MODULES = _modules()


def names_imported(path: Path) -> set[str]:
    """Every dotted name that a file imports, lazily and for type checking included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def module_of(name: str) -> str | None:
    """The module of ours that a dotted name belongs to: `foveal.errors.BadImage` -> `foveal.errors`."""
    parts = name.split(".")
    return next((m for n in range(len(parts), 0, -1) if (m := ".".join(parts[:n])) in MODULES), None)


IMPORTS: Mapping[str, set[str]] = {
    module: {target for name in names_imported(path) if (target := module_of(name)) and target != module}
    for module, path in MODULES.items()
}


def child_of(package: str, module: str) -> str | None:
    """The child of a package that holds a module; None: not inside it."""
    return module.removeprefix(package + ".").split(".")[0] if module.startswith(package + ".") else None


def children_graph(package: str) -> dict[str, set[str]]:
    """Child -> the siblings that it imports, anywhere inside it."""
    graph: dict[str, set[str]] = {}
    for module, targets in IMPORTS.items():
        if own := child_of(package, module):
            siblings = {child for target in targets if (child := child_of(package, target))}
            graph.setdefault(own, set()).update(siblings - {own})
    return graph


def circle_in(graph: Mapping[str, set[str]]) -> list[str]:
    """Some circle of the graph; empty: there is none."""
    done: set[str] = set()

    def walk(node: str, path: tuple[str, ...]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for target in sorted(graph.get(node, ())):
            if found := walk(target, (*path, node)):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := walk(node, ()))), [])


def packages() -> list[str]:
    return sorted({module.rpartition(".")[0] for module in MODULES} - {""})


@pytest.mark.parametrize("package", packages())
def test_siblings_form_no_circle(package: str) -> None:
    """Between the children of a package, modules and folders alike."""
    graph = children_graph(package)
    if package == "foveal":  # its own names are the public API, which only commands and stages use
        graph = {child: targets for child, targets in graph.items() if f"foveal.{child}" not in STAGES}
    assert not circle_in(graph), " -> ".join(circle_in(graph))


def test_circles_are_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert circle_in({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def core_modules() -> Iterator[tuple[str, int]]:
    """Every module of the core and its place in ORDER."""
    for module in MODULES:
        if module != "foveal" and not module.startswith(STAGES):
            child = child_of("foveal", module)
            places = [i for i, names in enumerate(ORDER) if child in names]
            assert places, f"{module}: give it a place in ORDER"
            yield module, places[0]


def test_core_points_downwards_and_to_no_stage() -> None:
    place = dict(core_modules())
    for module, mine in place.items():
        for target in IMPORTS[module]:
            assert not target.startswith(STAGES), f"{module} imports {target}"
            if target != "foveal":
                assert place[target] <= mine, f"{module} imports {target}"


def test_stages_point_one_way() -> None:
    """service -> core; export -> models -> core."""
    for module, targets in IMPORTS.items():
        forbidden: tuple[str, ...] = ()
        if module.startswith("foveal.models"):
            forbidden = ("foveal.export", "foveal.service")
        elif module.startswith("foveal.export"):
            forbidden = ("foveal.service",)
        elif module.startswith("foveal.service"):
            forbidden = ("foveal.models", "foveal.export")
        for target in targets:
            assert not (forbidden and target.startswith(forbidden)), f"{module} imports {target}"


@pytest.mark.parametrize("library", ALLOWED)
def test_heavy_libraries_stay_where_they_belong(library: str) -> None:
    for module, path in MODULES.items():
        if not module.startswith(ALLOWED[library]):
            used = {name for name in names_imported(path) if name == library or name.startswith(library + ".")}
            assert not used, f"{module} imports {used}"


@pytest.mark.parametrize("unused", ["foveal.metrics", "foveal.synth"])
def test_prediction_imports_neither_metrics_nor_synth(unused: str) -> None:
    """Not by any way of imports from what predicts: the API, the service, the commands of the core but `data synth`."""
    roots = [
        m for m in MODULES if m.startswith(("foveal.inference", "foveal.batch", "foveal.formats", "foveal.service"))
    ]
    roots += ["foveal", "foveal.commands.predict", "foveal.commands.verify", "foveal.commands.models"]
    reached, todo = set(roots), list(roots)
    while todo:
        for target in IMPORTS[todo.pop()] - reached:
            reached.add(target)
            todo.append(target)
    assert not {module for module in reached if module == unused or module.startswith(unused + ".")}


def module_counts() -> dict[str, int]:
    """Package -> modules directly in it, its __init__ aside."""
    counts: dict[str, int] = {}
    for module, path in MODULES.items():
        if path.name != "__init__.py":
            package = module.rpartition(".")[0]
            counts[package] = counts.get(package, 0) + 1
    return counts


def test_no_folder_is_a_bag() -> None:
    too_many = {
        package: count
        for package, count in module_counts().items()
        if count > MAX_MODULES and package not in REGISTRIES and not package.endswith(".commands")
    }
    assert not too_many


def test_functions_and_files_are_short() -> None:
    for path in MODULES.values():
        text = path.read_text()
        assert text.count("\n") <= MAX_FILE_LINES, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines < MAX_FUNCTION_LINES, f"{path}: {node.name} has {lines} lines"


def test_nobody_imports_a_stage_by_its_folder_name() -> None:
    """`import models` would make a second copy of foveal.models."""
    everything = [*MODULES.values(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    for path in everything:
        for name in names_imported(path):
            assert name.split(".")[0] not in ("models", "export", "service"), f"{path} imports {name}"


def test_no_test_module_is_imported_by_another() -> None:
    """What several tests share lives in tests/helpers, imported under that one name."""
    for path in (ROOT / "tests").rglob("*.py"):
        for name in names_imported(path):
            parts = name.split(".")
            assert not any(part.startswith("test_") for part in parts[:-1]), f"{path} imports {name}"
            assert parts[0] != "tests" or parts[1] == "helpers", f"{path} imports {name}"


def test_the_table_of_modules_in_design_is_true() -> None:
    """DESIGN.md, "Modules a folder": `UPDATE_DOCS=1 pytest tests/project/test_architecture.py` writes it anew."""
    from tests.helpers.documents import expect_generated

    rows = [f"| `{package}` | {count} |" for package, count in sorted(module_counts().items())]
    table = "\n".join(["| folder | modules |", "|---|---|", *rows])
    expect_generated(ROOT / "DESIGN.md", "modules a folder", table)
