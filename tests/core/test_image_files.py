"""The lister of image files: what it takes, what it passes over and says so, and what it never touches."""

import os
from pathlib import Path

import pytest

from foveal.errors import BadData, BadRequest
from foveal.imaging.image_files import SUFFIXES, is_image_name, list_images
from foveal.text_files import read_text


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def test_every_suffix_in_any_case(tmp_path: Path) -> None:
    wanted = sorted(touch(tmp_path / "deep" / f"a{suffix.upper()}") for suffix in SUFFIXES)
    assert list(list_images(tmp_path).images) == wanted


def test_hidden_parts_and_system_folders_are_no_part_of_a_data_set(tmp_path: Path) -> None:
    good = touch(tmp_path / "a.jpg")
    for name in ("._a.jpg", ".ipynb_checkpoints/a.jpg", "@eaDir/a.jpg/SYNO.jpg", "__MACOSX/x/._b.jpg"):
        touch(tmp_path / name)
    listing = list_images(tmp_path)
    assert listing.images == (good,)
    assert listing.note() is None


def test_a_hidden_parent_of_the_folder_itself_does_not_matter(tmp_path: Path) -> None:
    good = touch(tmp_path / ".cache" / "set" / "a.jpg")
    assert list_images(tmp_path / ".cache" / "set").images == (good,)


def test_what_is_passed_over_is_counted_by_suffix(tmp_path: Path) -> None:
    for name in ("a.txt", "b.TXT", "c.mov", "README"):
        touch(tmp_path / name)
    assert list_images(tmp_path).note() == "4 files passed over (.txt 2, .mov 1, no suffix 1)"
    assert list_images(tmp_path).note(known=(".txt", "")) == "1 file passed over (.mov 1)"


def test_folders_pipes_and_dead_links_are_no_images(tmp_path: Path) -> None:
    touch(tmp_path / "folder.jpg" / "a.png")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "dead.jpg").symlink_to(tmp_path / "nothing.jpg")
    listing = list_images(tmp_path)
    assert listing.images == (tmp_path / "folder.jpg" / "a.png",)
    assert listing.passed_over == {".jpg": 1}
    assert "dead.jpg" in str(listing.note())


def test_linked_folders_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "set" / "circle").symlink_to(tmp_path / "set")
    assert [p.name for p in list_images(tmp_path / "set").images] == ["a.jpg"]


def test_names_in_archives() -> None:
    assert is_image_name("set/train/A.JPG")
    assert not is_image_name("set/._A.JPG")
    assert not is_image_name("set/readme.md")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_of_every_marked_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_text("Käfer\n虫\n", encoding=encoding)
    assert read_text(tmp_path / "a.txt") == "Käfer\n虫\n"


def test_big_endian_utf16(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xfe\xff" + "Käfer".encode("utf-16-be"))
    assert read_text(tmp_path / "a.txt") == "Käfer"


def test_other_encodings_are_named_with_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes("Käfer".encode("latin-1"))
    with pytest.raises(BadData, match=r"a\.txt: expected UTF-8 text .* got byte 0xe4 at 1"):
        read_text(path)
    path.write_bytes("no mark".encode("utf-16-le"))
    with pytest.raises(BadRequest, match="NUL"):
        read_text(path, BadRequest)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.txt")
    with pytest.raises(BadData, match="no file"):
        read_text(tmp_path / "a.txt")
