"""The shipped zoo: small enough to travel with the code, and every package proves itself."""

from pathlib import Path

import pytest

from foveal.inference.pipeline import Predictor
from foveal.inference.verify import check_batches, check_golden, check_graph
from foveal.packages.package import ModelPackage
from foveal.packages.zoo import open_all

ZOO = Path(__file__).parents[2] / "zoo"
MAX_BYTES = 30_000_000  # a rule for what is shipped; packages of one's own may be as large as memory allows
FOLDERS = sorted(path.parent for path in ZOO.glob("*/*/SHA256SUMS"))


def test_every_folder_of_the_zoo_is_a_package() -> None:
    assert [package.path for package in open_all(ZOO)] == FOLDERS
    assert len(FOLDERS) >= 5


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_a_shipped_package_is_small(folder: Path) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert size <= MAX_BYTES, f"{size / 1e6:.1f} MB"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.parent.name)
def test_a_shipped_package_verifies(folder: Path) -> None:
    predictor = Predictor(ModelPackage.open(folder))
    check_graph(predictor)
    check_batches(predictor)
    check_golden(predictor)
