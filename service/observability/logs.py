"""JSON logs on stderr: one object a line, for service events and for every request with its id."""

import json
import logging
import time


class JsonLines(logging.Formatter):
    """{"time", "level", "event", …} and the members of the caller's `extra={"fields": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback is a member of it."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return _printable(json.dumps(line, ensure_ascii=False))


def _printable(text: str) -> str:
    """JSON with every character escaped that a terminal may obey or not show: C1 controls, bidi marks, surrogates."""
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def configure(*, requests: bool) -> None:
    """Send everything below the logger `foveal` to stderr; the loggers of other libraries keep their handlers."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger("foveal")
    root.handlers, root.propagate = [handler], False
    root.setLevel(logging.INFO)
    logging.getLogger("foveal.access").setLevel(logging.INFO if requests else logging.WARNING)
