"""Old names of modules and classes: configs of old runs, and a user's own YAMLs, name a class where it once was."""

from collections.abc import Mapping
from typing import Any

# old -> new; the line of a module holds for all that lies in it. What moves again gets another line, and its old
# lines get the new name.
MOVED = {
    "isogain.allocator": "isogain.training.allocator",
    "isogain.arrays": "isogain.record.spectra_npz",
    "isogain.attempts": "isogain.record.attempts_jsonl",
    "isogain.batch_limits": "isogain.training.batch_limits",
    "isogain.board.curves": "isogain.analysis.board.live_curves",
    "isogain.board.entry": "isogain.analysis.board.entry",
    "isogain.board.fates": "isogain.analysis.board.state_labels",
    "isogain.board.index": "isogain.analysis.board.index",
    "isogain.board.masks": "isogain.analysis.board.secrets",
    "isogain.board.page": "isogain.analysis.board.template",
    "isogain.board.plain": "isogain.analysis.board.as_json",
    "isogain.board.server": "isogain.analysis.board.server",
    "isogain.board.spectra": "isogain.analysis.board.spectra",
    "isogain.board.static": "isogain.analysis.board.static",
    "isogain.callback_check": "isogain.training.callback_check",
    "isogain.callbacks.checkpoint": "isogain.callbacks.checkpointing",
    "isogain.callbacks.preemption": "isogain.callbacks.save_on_signal",
    "isogain.checkpoints": "isogain.record.checkpoints",
    "isogain.cores": "isogain.linalg.per_core",
    "isogain.critical": "isogain.init.critical",
    "isogain.dashboard": "isogain.tracking.dashboard",
    "isogain.double_double": "isogain.linalg.double_double",
    "isogain.errors": "isogain.config.errors",
    "isogain.files": "isogain.record.atomic",
    "isogain.folder": "isogain.record.run_folder",
    "isogain.forked": "isogain.launch.worker",
    "isogain.fragments": "isogain.tracking.offline",
    "isogain.graded": "isogain.linalg.graded",
    "isogain.graded_double": "isogain.linalg.graded_double",
    "isogain.graded_error": "isogain.linalg.graded_error",
    "isogain.graded_spectrum": "isogain.linalg.graded_spectrum",
    "isogain.grid": "isogain.launch.grid_check",
    "isogain.half": "isogain.linalg.half",
    "isogain.heat_maps": "isogain.tracking.heat_maps",
    "isogain.inverse_root": "isogain.linalg.inverse_root",
    "isogain.learner": "isogain.training.learner",
    "isogain.lightning_trainer": "isogain.training.lightning_trainer",
    "isogain.loss_scale": "isogain.training.loss_scale",
    "isogain.machine": "isogain.training.machine",
    "isogain.mirror": "isogain.tracking.wandb_logger",
    "isogain.moved": "isogain.config.moved",
    "isogain.models.factors": "isogain.diagnostics.step.factors",
    "isogain.models.lstm_slopes": "isogain.diagnostics.step.lstm_slopes",
    "isogain.names": "isogain.config.nearest",
    "isogain.newton_schulz": "isogain.linalg.newton_schulz",
    "isogain.panels": "isogain.record.panels",
    "isogain.plots.bands": "isogain.analysis.plots.bands",
    "isogain.plots.fisher": "isogain.analysis.plots.fisher",
    "isogain.plots.gradients": "isogain.analysis.plots.gradients",
    "isogain.plots.grid": "isogain.analysis.plots.depth_gain",
    "isogain.plots.heatmap": "isogain.analysis.plots.heatmap",
    "isogain.plots.learning": "isogain.analysis.plots.learning",
    "isogain.plots.margin": "isogain.analysis.plots.margin",
    "isogain.plots.means": "isogain.analysis.plots.means",
    "isogain.plots.runs": "isogain.analysis.plots.groups",
    "isogain.plots.start": "isogain.analysis.plots.start",
    "isogain.plots.style": "isogain.analysis.plots.style",
    "isogain.plots.weight_gradients": "isogain.analysis.plots.weight_gradients",
    "isogain.pool": "isogain.launch.pool",
    "isogain.precision": "isogain.training.stored_precision",
    "isogain.preemption": "isogain.training.preemption",
    "isogain.products": "isogain.linalg.long_products",
    "isogain.provenance": "isogain.record.provenance",
    "isogain.ranges": "isogain.config.ranges",
    "isogain.ranks": "isogain.record.rank",
    "isogain.record.RunRecord": "isogain.record.logger.RunRecord",
    "isogain.record.Spectrum": "isogain.record.logger.Spectrum",
    "isogain.record.attempts": "isogain.record.attempts_jsonl",
    "isogain.record.csv_rows": "isogain.record.metrics_format",
    "isogain.record.description": "isogain.record.run_contents",
    "isogain.record.finding": "isogain.record.folder_walk",
    "isogain.record.last_step": "isogain.record.run_progress",
    "isogain.record.objective": "isogain.config.objective",
    "isogain.record.status": "isogain.record.run_status",
    "isogain.record.unfinished": "isogain.record.unfinished_status",
    "isogain.reg.penalty.MutualCoherence": "isogain.reg.mutual_coherence.MutualCoherence",
    "isogain.reg.penalty.Notebook": "isogain.reg.notebook.Notebook",
    "isogain.reg.penalty.Penalty": "isogain.reg.penalty.Soft",
    "isogain.reg.penalty.SRIP": "isogain.reg.srip.SRIP",
    "isogain.reg.retractions": "isogain.linalg.retractions",
    "isogain.rehearsal": "isogain.training.preflight",
    "isogain.report": "isogain.training.summary_tables",
    "isogain.restart": "isogain.training.warm_start",
    "isogain.results.aggregate": "isogain.analysis.statistics.aggregate",
    "isogain.results.compare": "isogain.analysis.statistics.compare",
    "isogain.results.curves": "isogain.analysis.statistics.curves",
    "isogain.results.folders": "isogain.record.folder_walk",
    "isogain.results.page": "isogain.analysis.report.html",
    "isogain.results.reading": "isogain.record.run_contents",
    "isogain.results.rounding": "isogain.analysis.statistics.digits",
    "isogain.results.study": "isogain.analysis.statistics.study",
    "isogain.results.table": "isogain.analysis.statistics.runs_table",
    "isogain.results.text": "isogain.analysis.report.text",
    "isogain.results.tuning": "isogain.analysis.statistics.best_setting",
    "isogain.resumption": "isogain.launch.resumption",
    "isogain.rough": "isogain.linalg.bfloat16",
    "isogain.run": "isogain.training.run",
    "isogain.run_end": "isogain.training.run_end",
    "isogain.shell": "isogain.config.shell",
    "isogain.signature_check": "isogain.config.signature_check",
    "isogain.slurm_queue": "isogain.launch.slurm_queue",
    "isogain.status.alive": "isogain.record.processes",
    "isogain.status.command": "isogain.analysis.status.rerun",
    "isogain.status.record": "isogain.record.run_progress",
    "isogain.status.shown": "isogain.analysis.status.console",
    "isogain.status.states": "isogain.analysis.status.states",
    "isogain.status.sweeps": "isogain.analysis.status.survey",
    "isogain.status.waiting": "isogain.analysis.status.pending",
    "isogain.streams": "isogain.config.streams",
    "isogain.sweep": "isogain.record.sweep_json",
    "isogain.sync": "isogain.tracking.sync",
    "isogain.table": "isogain.record.metrics_csv",
    "isogain.tally": "isogain.training.metrics",
    "isogain.terminal": "isogain.config.terminal",
    "isogain.theory.critical": "isogain.theory.critical_point",
    "isogain.theory.figures": "isogain.analysis.phase_diagram.figures",
    "isogain.tool": "isogain.config.arguments",
    "isogain.trainer_check": "isogain.training.trainer_check",
    "isogain.training_metrics": "isogain.training.metrics",
    "isogain.transient": "isogain.linalg.transient_dicts",
    "isogain.tuning": "isogain.launch.optuna_study",
    "isogain.typed_range": "isogain.config.typed_range",
    "isogain.wandb_errors": "isogain.tracking.wandb_errors",
}


def current_name(target: str) -> str:
    """The present name of a `_target_`; one that never moved is returned as it is.

    >>> current_name("isogain.table.Table")
    'isogain.record.metrics_csv.Table'
    """
    head, tail = target, ""
    while head:
        if head in MOVED:
            return MOVED[head] + tail
        head, _, name = head.rpartition(".")
        tail = f".{name}{tail}"
    return target


def with_current_names(node: Any) -> Any:
    """A config, plain dicts and lists, with every `_target_` under its present name."""
    if isinstance(node, list):
        return [with_current_names(child) for child in node]
    if not isinstance(node, Mapping):
        return node
    renamed = {key: with_current_names(child) for key, child in node.items()}
    if isinstance(target := node.get("_target_"), str):
        renamed["_target_"] = current_name(target)
    return renamed
