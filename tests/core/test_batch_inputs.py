"""Inputs of batch jobs: what is no image is refused or counted, and every image has a place of its own."""

import os
import socket
import tarfile
from pathlib import Path

import pytest

from foveal.batch.image_files import NAME_BYTES, place_of, renamed
from foveal.batch.inputs import expand, gather
from foveal.batch.sources import Source, distinct, inside
from foveal.errors import BadImage, BadRequest
from tests.helpers.packages import png

RED, BLUE = png((200, 0, 0)), png((0, 0, 200))


def test_what_never_ends_or_is_no_file_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe.png")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.png")
        (tmp_path / "link.png").symlink_to("/dev/zero")
        wrong = {"pipe.png": "a pipe (FIFO)", "socket.png": "a socket", "link.png": "a device", "/dev/zero": "a device"}
        for name, got in wrong.items():
            with pytest.raises(BadRequest, match="expected an image file") as caught:
                expand([name])
            assert got in str(caught.value)
            with pytest.raises(BadImage):  # named in a list: an error in its entry
                Source(name, name).read()
    os.mkfifo("pipe.tar")
    os.mkfifo("list")
    for name in ("pipe.tar", "@list"):
        with pytest.raises(BadRequest, match="got"):
            expand([name])
    with pytest.raises(BadImage, match="got a folder"):
        Source(".", ".").read()
    with pytest.raises(BadImage, match="null byte"):
        Source("a\0b", "a\0b").read()


@pytest.mark.parametrize("name", ["a.tar.gz", "a.TGZ", "a.zip", "a.tar.zst", "a.tar"])
def test_archives_that_are_no_plain_tar_say_so(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / name, "w:gz") as archive:
        archive.add(__file__, "a.png")
    with pytest.raises(BadRequest, match="uncompressed"):
        expand([str(tmp_path / name)])


def test_what_folders_and_archives_hold_besides_is_counted(tmp_path: Path) -> None:
    (tmp_path / "photos" / "@eaDir").mkdir(parents=True)
    for name in ("a.JPG", "b.heic", "notes.txt", "README", "._a.jpg", "@eaDir/a.jpg"):
        (tmp_path / "photos" / name).write_bytes(RED)
    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(tmp_path / "photos", "photos")
    for argument in ("photos", "photos.tar"):
        found = gather([str(tmp_path / argument)])
        assert [Path(s.name).name for s in found.sources] == ["a.JPG", "b.heic"]
        assert found.note() == "2 files passed over (.txt 1, no suffix 1)"
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "clip.mov").touch()
    with pytest.raises(BadRequest, match=r"found nothing; 1 file passed over \(\.mov 1\)"):
        gather([str(tmp_path / "only")])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_of_names_in_any_encoding_with_a_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "list").write_bytes("ä.png\r\nnext\x85line.png\r\n\r\n".encode(encoding))
    assert [s.name for s in expand([f"@{tmp_path}/list"])] == ["ä.png", "next\x85line.png"]
    (tmp_path / "list").write_bytes(b"\xe4.png")
    with pytest.raises(BadRequest, match="got byte 0xe4 at 0"):
        expand([f"@{tmp_path}/list"])


def test_places_mirror_the_tree_that_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("data/photos/sub/a.png", "data/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(RED)
    with tarfile.open("data/all.tar", "w") as archive:
        archive.add("data/b.png", "../b.png")
    places = {
        "data/photos": "data/photos/sub/a.png",
        str(tmp_path / "data/photos"): "photos/sub/a.png",
        str(tmp_path / "data/b.png"): "b.png",
        str(tmp_path / "data/*/sub/*.png"): "photos/sub/a.png",
        str(tmp_path / "data/all.tar"): "all.tar/b.png",
        "data/../data/photos": "photos/sub/a.png",
    }
    for argument, place in places.items():
        assert [place_of(source) for source in expand([argument])] == [place], argument


def test_members_of_one_name_have_places_of_their_own(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "twice.tar", "w") as archive:
        for number, data in enumerate((RED, BLUE, RED)):
            (tmp_path / f"{number}.png").write_bytes(data)
            archive.add(tmp_path / f"{number}.png", "a.png")
        archive.add(tmp_path / "0.png", "a~2.png")
    given = expand([str(tmp_path / "twice.tar")])
    placed = distinct(given)
    assert [place_of(s) for s in placed] == [f"twice.tar/{n}.png" for n in ("a", "a~3", "a~4", "a~2")]
    assert [s.read() for s in placed] == [RED, BLUE, RED, RED]
    assert len(renamed(given, placed)) == 2
    same = [Source("a.png", "a.png")] * 2
    assert distinct(same) == same


def test_long_names_are_cut_and_stay_unique() -> None:
    names = [f"{'ä' * 125}{end}.png" for end in "ab"] + ["x" * 255, "d" * 300 + "/a.png", "/".join(["y" * 200] * 30)]
    sources = [Source(name, name) for name in names]
    places = [place_of(source, ".jpg") for source in sources]
    assert len(set(places)) == len(places)
    for place in places:
        assert max(len(os.fsencode(part)) for part in place.split("/")) <= NAME_BYTES + len(".jpg")
        assert len(os.fsencode(place)) < 3100
    assert len(renamed(sources, sources)) == len(sources)
    fits = Source("z" * NAME_BYTES, "z")
    assert place_of(fits) == inside(fits)
    assert place_of(Source("a\0b", "")) != "a\0b"
