"""Results of lmms-eval and VLMEvalKit: read into neutral records, written, and the commands that make them."""

from core.interop.commands import evaluation_commands
from core.interop.detecting import detect_format, read_results
from core.interop.lmms_eval import read_lmms_eval
from core.interop.records import ImportedRun, ImportedSample, ImportedTask, ImportReport, resolve_dataset_id
from core.interop.vlmevalkit import read_vlmevalkit
from core.interop.writing import write_lmms_eval

__all__ = [
    "ImportReport",
    "ImportedRun",
    "ImportedSample",
    "ImportedTask",
    "detect_format",
    "evaluation_commands",
    "read_lmms_eval",
    "read_results",
    "read_vlmevalkit",
    "resolve_dataset_id",
    "write_lmms_eval",
]
