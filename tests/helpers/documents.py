"""Generated parts of documents: compared with the code, or written anew with UPDATE_DOCS=1."""

import os
import re
from pathlib import Path


def expect_generated(document: Path, name: str, content: str) -> None:
    """The part between `<!-- NAME: … -->` and `<!-- end of NAME -->` must be `content`."""
    part = re.compile(rf"(<!-- {re.escape(name)}: [^>]*? -->\n).*?(<!-- end of {re.escape(name)} -->)", re.DOTALL)
    if "UPDATE_DOCS" in os.environ:
        text = document.read_text()
        document.write_text(part.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text))
    found = part.search(document.read_text())
    assert found is not None, f"{document.name}: expected a part called {name!r}"
    assert found[0] == f"{found[1]}{content}\n{found[2]}", f"{document.name}, {name!r}: set UPDATE_DOCS=1 and run again"
