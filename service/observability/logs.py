"""Logs as JSON, one object a line, on stderr: what happens to the service, and every request with its id."""

import json
import logging
import time


class JsonLines(logging.Formatter):
    """{"time", "level", "event", …}; what a caller gives as `extra={"fields": {…}}` comes along."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback is a member of it."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line = {"time": moment, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure(*, requests: bool) -> None:
    """Send everything below the logger `foveal` to stderr; BentoML's own loggers stay as they are."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    root = logging.getLogger("foveal")
    root.handlers, root.propagate = [handler], False
    root.setLevel(logging.INFO)
    logging.getLogger("foveal.access").setLevel(logging.INFO if requests else logging.WARNING)
