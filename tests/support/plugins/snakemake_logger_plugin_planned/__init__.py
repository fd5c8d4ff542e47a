"""A logger plugin for tests: the jobs that Snakemake plans or runs, as lines of JSON.

Snakemake prints jobs for people only; its plugin interface hands over the records behind that.
"""

import json
import os
import sys
from logging import LogRecord
from pathlib import Path

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent


class LogHandler(LogHandlerBase):
    """Append each job's rule, outputs and message to the file named by LORASCOPE_TEST_JOBS."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        if getattr(record, "event", None) != LogEvent.JOB_INFO:
            return
        outputs = [str(path).removesuffix(" (temp)") for path in record.output]
        job = {"rule": record.rule_name, "outputs": outputs, "message": record.rule_msg}
        job["torch"] = "torch" in sys.modules
        with Path(os.environ["LORASCOPE_TEST_JOBS"]).open("a", encoding="utf-8") as file:
            file.write(json.dumps(job) + "\n")
