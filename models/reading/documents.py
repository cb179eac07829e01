"""JSON, XML and YAML files of annotation tools (`read_json`, `read_xml`, `read_yaml`), read within limits."""

import codecs
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from foveal.errors import BadData
from foveal.imaging.image_files import visible_files
from foveal.models.reading.data_folder import DataFolder
from foveal.text_files import decode_text, read_text

MAX_YAML_BYTES = 2**20  # a list of ten thousand classes has a quarter of that
_ENCODING = re.compile(rb"""^\s*<\?xml[^>]*\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")


def files_with(folder: DataFolder, *suffixes: str) -> list[Path]:
    """Visible files below the base whose suffix is one of these, in any case; sorted."""
    return sorted(path for path in visible_files(folder.base) if path.suffix.lower() in suffixes)


def read_json(path: Path) -> Any:
    """The value of a JSON file.

    Raises:
        BadData: no JSON: empty, several documents, nested too deeply, numbers beyond Python's limit.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, path: Path) -> Any:
    """As `read_json`, of text that was read from `path`."""
    if not text.strip():
        raise BadData(f"{path}: expected JSON, got an empty file")
    try:
        return json.loads(text)
    except RecursionError:
        raise BadData(f"{path}: expected JSON, got lists or objects that are nested too deeply") from None
    except ValueError as error:
        lines = " (a document a line is JSON Lines)" if "Extra data" in str(error) else ""
        raise BadData(f"{path}: expected JSON: {error}{lines}") from None


def read_xml(path: Path) -> ET.Element:
    """The root element of an XML file, in the encoding that its mark or its first line declares.

    Raises:
        BadData: no XML, an unknown encoding, or a file that declares entities.
    """
    try:
        data = path.read_bytes()
        declared = _ENCODING.match(data)
        text = _in_encoding(data, declared[1].decode("ascii")) if declared else decode_text(data)
    except OSError as error:
        raise BadData(f"{path}: expected a readable XML file: {error.strerror}") from None
    except ValueError as error:
        raise BadData(f"{path}: {error}") from None
    if "<!ENTITY" in text:
        raise BadData(f"{path}: expected an annotation, got XML that declares entities")
    try:
        # a declared encoding does not matter for text; entities, which make expat dangerous, are refused above
        return ET.fromstring(text.lstrip("\ufeff \t\r\n"))  # noqa: S314
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise BadData(f"{path}: expected XML: {error}") from None


def _in_encoding(data: bytes, name: str) -> str:
    try:
        codec = codecs.lookup(name)
    except LookupError:
        raise ValueError(f"expected an encoding that Python knows, got {name!r}") from None
    if codec.name in ("utf-8", "ascii", "utf-16", "utf-32") or not codec._is_text_encoding:
        return decode_text(data)  # whatever it says: the bytes that state it are ASCII
    try:
        return data.decode(codec.name)
    except UnicodeError:
        raise ValueError(f"expected text in {name}, as its first line says") from None


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Without aliases, which descriptions of data sets do not need and with which small files become huge values."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("expected no aliases (*name)")
        return super().compose_node(parent, index)


def read_yaml(path: Path) -> Any:
    """The value of a YAML file: plain values, lists and mappings, no aliases.

    Raises:
        BadData: no such YAML.
    """
    text = read_text(path)
    if len(text) > MAX_YAML_BYTES:
        raise BadData(f"{path}: expected at most {MAX_YAML_BYTES} characters of YAML, got {len(text)}")
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except RecursionError:
        raise BadData(f"{path}: expected YAML, got lists or mappings that are nested too deeply") from None
    except (yaml.YAMLError, ValueError, AttributeError, TypeError) as error:  # Unhashable keys, dates, numbers
        raise BadData(f"{path}: expected YAML: {' '.join(str(error).split())}") from None


def unread(folder: DataFolder) -> Iterator[str]:
    """Why files that look like annotations are none: for the message that no layout fits."""
    for path in files_with(folder, ".json", ".xml"):
        try:
            (read_json if path.suffix.lower() == ".json" else read_xml)(path)
        except BadData as error:
            yield str(error)
