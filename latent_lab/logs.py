"""What is said while a job runs, and where: ``hydra.job_logging``."""

import contextlib
import logging
import logging.config
import tempfile
from collections.abc import Iterator
from pathlib import Path

from latent_lab.escaping import visible


def _made_visible(record: logging.LogRecord) -> bool:
    """What is said in a log may be another's words: an error's message can't move a terminal's cursor."""
    record.msg, record.args = visible(record.getMessage()), None
    return True


@contextlib.contextmanager
def logs_into(folder: Path, config: dict) -> Iterator[None]:
    """Logging as ``hydra.job_logging`` says, with the files in a job's folder."""
    folder.mkdir(parents=True, exist_ok=True)

    def placed(content):
        if isinstance(content, dict):
            return {key: placed(value) for key, value in content.items()}
        if isinstance(content, list):
            return [placed(value) for value in content]
        if not isinstance(content, str):
            return content
        return content.replace("${hydra.runtime.output_dir}", str(folder)).replace("${hydra.job.name}", "train")

    root = logging.getLogger()
    if config:
        for log in folder.glob("*.log"):
            if log.is_fifo():
                log.unlink()  # to open it would wait for somebody who reads it
        logging.config.dictConfig(placed(config))
        for handler in root.handlers:
            handler.addFilter(_made_visible)
    try:
        yield
    finally:
        for handler in [handler for handler in root.handlers if isinstance(handler, logging.FileHandler)]:
            root.removeHandler(handler)
            handler.close()


def require_logging(config: dict) -> None:
    """Raises ValueError for a ``hydra.job_logging`` that Python's logging does not take."""
    try:
        with tempfile.TemporaryDirectory() as folder, logs_into(Path(folder), config):
            pass
    except (ValueError, TypeError, AttributeError, ImportError, OSError) as error:
        raise ValueError(f"hydra.job_logging: {error}" + (f" ({error.__cause__})" if error.__cause__ else "")) from None
