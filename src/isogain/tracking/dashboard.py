"""A Weights & Biases workspace for a project's runs: `python -m isogain.dashboard --project P`."""

import sys
from collections.abc import Sequence
from typing import Any

from isogain.config import arguments, streams
from isogain.config.errors import UserError
from isogain.record import panels
from isogain.record.panels import Panel

NAME = "isogain"
STEP = "trainer/global_step"
PATIENCE = 10  # seconds for the first answer
REG = "choices.reg"  # in the runs' config: the name of the regulariser


def workspace(project: str, entity: str, name: str = NAME) -> Any:
    """The workspace, not saved yet, a wandb_workspaces.workspaces.Workspace."""
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        project=project,
        entity=entity,
        name=name,
        sections=[
            ws.Section("Learning curves", panels=[_line(p) for p in panels.LEARNING], is_open=True),
            ws.Section("Isometry", panels=_isometry(), is_open=True),
            ws.Section("Gradients", panels=_gradients(), is_open=True),
            ws.Section("Depth × gain", panels=[_parallel_coordinates()], is_open=True),
            ws.Section("Spectra over training", panels=[_heat_maps()], is_open=True),
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP),
        runset_settings=ws.RunsetSettings(groupby=[ws.Config(REG)]),
    )


def _line(panel: Panel, *others: Panel, **options: Any) -> Any:
    """A line plot over optimiser steps; of several panels the first one's label."""
    import wandb_workspaces.reports.v2 as wr

    names = [p.name for p in (panel, *others)]
    axes = {"title_x": "optimiser steps", "title_y": panel.label, "log_y": panel.log or None}
    return wr.LinePlot(**{"title": panel.label, "x": STEP, "y": names, **axes, **options})


def _isometry() -> list[Any]:
    title = "singular values of ∂h_L/∂h_0, quantiles"
    return [
        *(_line(panel) for panel in panels.ISOMETRY),
        _line(*panels.QUANTILES, title=title, title_y=title),
    ]


def _gradients() -> list[Any]:
    import wandb_workspaces.reports.v2 as wr

    by_layer = [
        wr.LinePlot(title=title, x=STEP, metric_regex=f"^{prefix}/.*", log_y=True, title_y=title)
        for prefix, title in panels.BY_LAYER.items()
    ]
    return [*(_line(panel) for panel in panels.GRADIENTS), *by_layer]


def _parallel_coordinates() -> Any:
    import wandb_workspaces.reports.v2 as wr

    options = [wr.Config(key) for key in (REG, *panels.AXES)]
    outcomes = [wr.SummaryMetric(key) for key in panels.OUTCOMES]
    columns = [wr.ParallelCoordinatesPlotColumn(metric) for metric in (*options, *outcomes)]
    return wr.ParallelCoordinatesPlot(columns=columns, title="depth × gain")


def _heat_maps() -> Any:
    import wandb_workspaces.reports.v2 as wr

    keys = [f"{name}/{panels.HEAT_MAP}" for name in panels.SPECTRA]
    return wr.MediaBrowser(title="singular values, large on top", media_keys=keys)


def main(argv: Sequence[str] | None = None) -> int:
    """Create a workspace at Weights & Biases with learning curves by regulariser, isometry, gradients by layer,
    depth × gain, and the spectra's heat maps.
    """
    parser = arguments.parser("dashboard", main)
    parser.add_argument("--project", required=True, help="logger.project of the runs")
    parser.add_argument("--entity", help="user or team; yours by default")
    parser.add_argument("--name", default=NAME, help=f"of the workspace; {NAME} by default")
    options = parser.parse_args(argv)
    return arguments.exit_code(lambda: print(saved(options.project, options.entity, options.name)))


def saved(project: str, entity: str | None, name: str) -> str:
    """Save the workspace and return its address; raises UserError for a missing extra, no account and no network."""
    try:
        import wandb
        import wandb_workspaces.workspaces  # noqa: F401 - only to see that it is there
    except ModuleNotFoundError as error:
        raise UserError(f"no {error.name}: pip install -e '.[dashboard]'") from None
    wandb.setup(wandb.Settings(silent=True))
    try:
        api = wandb.Api(
            timeout=PATIENCE
        )  # also where `entity` is given: an answer that comes soon or never
        entity = entity or api.default_entity
        if not entity:
            raise UserError("W&B names no default entity for this account: --entity says whose")
        made = workspace(project, entity, name)
        made.save()
        return made.url
    except (wandb.errors.Error, ValueError, KeyError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        hint = "it takes an account and the network; python -m isogain.board FOLDER takes neither"
        raise UserError(f"no workspace at W&B: {reason}; {hint}") from None


if __name__ == "__main__":
    sys.exit(streams.exit_code(main))
