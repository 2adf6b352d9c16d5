"""Why options do nothing in a config: a table by key, each reason a function of the resolved config and its task."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_object

from isogain.data.synthetic import Drawn
from isogain.data.task import Task
from isogain.record.bounded import Damaged
from isogain.record.config_yaml import Foreign, flattened, read_config

Reason = Callable[
    [Mapping[str, Any], Task], str
]  # why an option does nothing in a config; "" where it acts

DRAWN = (
    *(f"init.{name}" for name in ("distribution", "q_star", "sigma_w", "base", "normalise_input")),
    "model.forget_bias",
)
LARGEST = 2048  # numbers in a state whose Jacobian is formed, unless callbacks.jacobian.largest says otherwise


def _of_vectors(config: Mapping[str, Any], data: Task) -> str:
    return "data.embeddings brings the vectors" if config["data"].get("embeddings") else ""


def _unmeasured(config: Mapping[str, Any], data: Task) -> str:
    limits = (config["trainer"].get(f"limit_{part}_batches") for part in ("val", "test"))
    return "this run has no validation and no test" if all(n == 0 for n in limits) else ""


def _unmeasured_draws(config: Mapping[str, Any], data: Task) -> str:
    """Of what chooses the examples of evaluation alone: training has others."""
    return _unmeasured(config, data) if isinstance(data, Drawn) else ""


def _of_a_checkpoint(key: str) -> Reason:
    """Of what draws weights; a value that those of the checkpoint were drawn with is on record rightly."""

    def reason(config: Mapping[str, Any], data: Task) -> str:
        if not config.get("ckpt") or _as_drawn(key, config):
            return ""
        return "the weights are those of ckpt"

    return reason


def _as_drawn(key: str, config: Mapping[str, Any]) -> bool:
    """Whether the run that saved the checkpoint says the same, in its folder's config.yaml."""
    try:
        _, there = read_config(Path(config["ckpt"]).absolute().parents[1])
    except (OSError, Damaged, Foreign, IndexError):
        return False
    here = dict(flattened({group: config[group] for group in ("init", "model")}))
    return key in there and there[key] == here.get(key)


def _projected(config: Mapping[str, Any], data: Task) -> str:
    """Of the initialiser's gain; an equal one is the regulariser's too, which may be what it follows."""
    reg, gain = config["reg"], config["init"].get("gain")
    if reg.get("gain", gain) in (gain, "learned") or reg.get("margin"):
        return ""
    if getattr(get_object(reg["_target_"]), "sets_size", False):
        return f"the kernels begin at reg.gain={reg['gain']}"
    return ""  # of a checkpoint's kernels the gap is measured against it


def _redrawn(config: Mapping[str, Any], data: Task) -> str:
    init = config["init"]
    if init.get("_target_") == "isogain.init.critical.Critical" and init.get(
        "normalise_input", True
    ):
        return "init=critical draws the input's weights: init.normalise_input=false leaves them"
    return _of_a_checkpoint("model.input_init")(config, data)


def _nowhere(config: Mapping[str, Any], data: Task) -> str:
    disabled = config.get("logger", {}).get("mode") == "disabled"
    return "nothing goes to W&B: logger.mode=disabled (or WANDB_MODE)" if disabled else ""


def _without_an_end(part: str) -> Reason:
    def reason(config: Mapping[str, Any], data: Task) -> str:
        limits = (config["trainer"].get(name) for name in ("max_epochs", "max_steps"))
        endless = all(limit in (None, -1) for limit in limits)
        if endless and config[part]["schedule"] != "constant":
            return (
                "how long the training is has to be known: trainer.max_epochs or trainer.max_steps"
            )
        return _off(config, data) if part == "reg" else ""

    return reason


def _without_its_second_moment(config: Mapping[str, Any], data: Task) -> str:
    """Of the second moment that the regulariser asks for; an optimiser says whether it can keep it."""
    optim = get_object(config["optim"]["_target_"])
    keeps = getattr(optim, "second_moment_per_matrix", True)
    return "" if keeps else "acts with optim=adam alone"


def _off(config: Mapping[str, Any], data: Task) -> str:
    """Of a penalty's options; `reduction` is what penalties alone have."""
    reg = config["reg"]
    return (
        "reg.strength=0: there is no penalty" if "reduction" in reg and reg["strength"] == 0 else ""
    )


def _to_the_end(config: Mapping[str, Any], data: Task) -> str:
    reg, most = config["reg"], config["trainer"].get("max_epochs") or -1
    if reg["schedule"] == "constant" and reg["epochs"] and 0 < most <= reg["onset"] + reg["epochs"]:
        return f"the training ends before, trainer.max_epochs={most}"
    return _off(config, data)


def _by_the_svd(config: Mapping[str, Any], data: Task) -> str:
    reg = config["reg"]
    clipped = reg.get("margin") and reg["method"] == "newton_schulz"
    return (
        "singular values are clipped by the SVD: leave it out, or reg.margin=0" if clipped else ""
    )


def _before_the_end(config: Mapping[str, Any], data: Task) -> str:
    trainer = config["trainer"]
    if trainer.get("limit_val_batches") == 0:
        return "trainer.limit_val_batches=0: this run has no validation"
    every, most = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs") or -1
    if every and 0 < most < every:
        return (
            f"the first validation would come after the end, trainer.max_epochs={most}; "
            "trainer.limit_val_batches=0 trains without one"
        )
    return ""


def _without_validation(config: Mapping[str, Any], data: Task) -> str:
    none = config["trainer"].get("limit_val_batches") == 0
    return "trainer.limit_val_batches=0: this run has no validation" if none else ""


def _without_a_value(config: Mapping[str, Any], data: Task) -> str:
    at = config["callbacks"]["learning_time"].get("at")
    return "" if at else "acts with a value in callbacks.learning_time.at"


def _more_than_there_are(name: str) -> Reason:
    def reason(config: Mapping[str, Any], data: Task) -> str:
        examples, there = config["callbacks"][name]["examples"], data.split_sizes.get("val")
        return f"validation has {there} examples" if there and examples > there else ""

    return reason


def _matrix_free(config: Mapping[str, Any], data: Task) -> str:
    model, largest = config["model"], config["callbacks"]["jacobian"].get("largest", LARGEST)
    state = model["hidden"] * (1 + (model.get("_target_") == "isogain.models.lstm.LSTM"))
    return f"of {state} numbers a state, only the extremes are measured" if state > largest else ""


def _no_kinds(config: Mapping[str, Any], data: Task) -> str:
    return "" if config["callbacks"]["curvature"]["kinds"] else "callbacks.curvature.kinds is empty"


# why a key does nothing; every other key of conf/ acts whatever the rest is, or is refused elsewhere
IDLE: dict[str, Reason] = {
    **dict.fromkeys(("data.dim", "data.min_count"), _of_vectors),
    "data.eval_batch_size": _unmeasured,
    **dict.fromkeys(("data.eval_examples", "data.split_seed"), _unmeasured_draws),
    "init.gain": _projected,
    **{key: _of_a_checkpoint(key) for key in DRAWN},
    "model.input_init": _redrawn,
    **dict.fromkeys(
        (f"logger.{name}" for name in ("project", "group", "name", "tags", "job_type")), _nowhere
    ),
    "optim.schedule": _without_an_end("optim"),
    "reg.schedule": _without_an_end("reg"),
    "reg.adam": _without_its_second_moment,
    "reg.epochs": _to_the_end,
    **dict.fromkeys(
        (f"reg.{name}" for name in ("gain", "reduction", "onset", "every", "iterations")), _off
    ),
    "reg.method": _by_the_svd,
    "trainer.check_val_every_n_epoch": _before_the_end,
    "trainer.val_check_interval": _without_validation,
    "callbacks.learning_time.metric": _without_a_value,
    **{
        f"callbacks.{name}.examples": _more_than_there_are(name)
        for name in ("signal_gradients", "jacobian", "factors", "signals", "curvature")
    },
    "callbacks.jacobian.spans": _matrix_free,
    "callbacks.curvature.k": _no_kinds,
}  # fmt: skip
