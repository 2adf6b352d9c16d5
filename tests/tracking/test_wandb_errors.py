"""What W&B does not take is told before a run begins; an error of its own comes with what fits it."""

import pytest
import wandb
from runs import composed

from isogain.config.check import parts
from isogain.config.errors import ConfigError
from isogain.tracking.wandb_errors import one_line, refusals
from isogain.training.preflight import rehearse

LONG = "a" * 129


def told(**options) -> int:
    return len(list(refusals(options)))


@pytest.mark.parametrize("tag", ["", "a", "a" * 64, "a" * 65])
def test_a_tag_is_refused_exactly_where_wandb_refuses_it(tag):
    try:
        wandb.Settings(run_tags=[tag])
        sound = True
    except ValueError:
        sound = False
    assert told(tags=["good", tag]) == 1 - sound


@pytest.mark.parametrize(
    "project", ["isogain", "a" * 128, LONG, *(f"a{c}b" for c in "/\\#?%: .-_é")]
)
def test_a_project_is_refused_exactly_where_wandb_refuses_it(project):
    try:
        wandb.Settings(project=project)
        sound = True
    except wandb.errors.UsageError:
        sound = False
    assert told(project=project) == 1 - sound


@pytest.mark.parametrize(("option", "longest"), [("name", 128), ("group", 128), ("job_type", 64)])
def test_a_name_that_its_server_would_not_take_is_refused(option, longest):
    assert told(**{option: "a" * longest}) == 0 and told(**{option: "a" * (longest + 1)}) == 1


def test_tags_of_the_environment_are_tags_where_no_others_are_said(monkeypatch):
    monkeypatch.setenv("WANDB_TAGS", f"good,{LONG}")
    assert told() == 1 and told(tags=["good"]) == 0


@pytest.mark.parametrize(
    "option", [f"logger.tags=[{LONG}]", "logger.project=a/b", f"logger.name={LONG}"]
)
def test_an_option_that_wandb_would_refuse_is_one_line_before_anything_is_built(option):
    with pytest.raises(ConfigError, match=rf"^{option.partition('=')[0]}\b.*") as line:
        rehearse(**parts(composed("logger=wandb", option, "model.hidden=4", "out=run")))
    assert "\n" not in str(line.value)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        ("Run initialization has timed out after 30.0 sec", "without a network"),
        ("failed to connect to api.wandb.ai: connection refused", "without a network"),
        ("API key verification failed for host https://api.wandb.ai", "`wandb login`"),
        ("No API key configured. Use `wandb login` to log in", "`wandb login`"),
        ("returned error 401: user is not logged in", "`wandb login`"),
        ("returned error 404: entity nobody not found during upsertBucket", "WANDB_ENTITY"),
        ("returned error 403: permission denied", "WANDB_ENTITY"),
        ("write /x/run.wandb: no space left on device", "make room"),
        ("something else", "WANDB_MODE=offline or logger=csv"),
    ],
)
def test_an_error_of_wandb_comes_with_what_fits_it(error, hint):
    line = one_line(wandb.errors.CommError(f"{error}.\nmore"))
    assert line.startswith(f"{error}; ") and hint in line and "\n" not in line


def test_a_setting_that_wandb_does_not_take_is_one_line():
    with pytest.raises(ValueError) as refused:
        wandb.Settings(run_tags=["a" * 65])
    line = one_line(refused.value)
    assert "65 characters" in line and "\n" not in line and "pydantic" not in line
    assert line.endswith("see logger.* and the variables WANDB_*")
