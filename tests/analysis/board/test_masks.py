"""Secrets stay off a page: by the name of their key, by an assignment in a text, and by their value."""

import pytest

from isogain.analysis.board.secrets import MASK, is_secret, masked, masked_text


@pytest.mark.parametrize(
    "key",
    ["WANDB_API_KEY", "api_key", "api-key", "hub.token", "password", "db_passwd", "aws.secret_access_key",
     "client_secret", "credentials", "logger.apikey"],
)  # fmt: skip
def test_a_key_that_names_a_secret_is_masked(key):
    assert is_secret(key) and masked({"a": {key: "x1y2"}}) == {"a": {key: MASK}}


@pytest.mark.parametrize(
    "key", ["data.tokens", "max_tokens", "monkey", "keyed", "init.gain", "secretary", "optim.lr"]
)
def test_other_keys_are_shown(key):
    assert not is_secret(key) and masked({key: [1, "x", None]}) == {key: [1, "x", None]}


@pytest.mark.parametrize(
    "text",
    [
        "+logger.api_key=abcdef",
        "token: abcdef",
        'password="abcdef"',
        "{'api_key': 'abcdef', 'lr': 1}",
    ],
)
def test_what_a_text_assigns_to_a_secret_is_masked(text):
    assert "abcdef" not in masked_text(text) and MASK in masked_text(text)


def test_the_environments_secrets_are_masked_wherever_they_stand(monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "hunter-two")
    monkeypatch.setenv("SOME_PASSWORD", "the")  # a word: masking it would garble every text
    found = masked({"error": ["at hunter-two, the end"]})
    assert found == {"error": [f"at {MASK}, the end"]}


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.DEF-123456",
        "curl -H 'authorization: Basic abc123DEF456=='",
        "GET with bearer abc.DEF-123456",
        "postgres://user:abc123DEF@host:5432/db",
        "https://:abc123DEF@host/x",
        "tool --api-key abc123DEF --lr 1",
        "tool --hub.token abc123DEF",
        "tool --password 'abc123DEF'",
        "WANDB_API_KEY=abc123DEF python train.py",
        "--api-key=abc123DEF",
    ],
)
def test_headers_addresses_and_options_hide_their_secrets(text):
    assert "abc" not in masked_text(text) and MASK in masked_text(text)


@pytest.mark.parametrize(
    "text",
    ["http://host:8080/path", "a bearer of news", "basic usage", "tokens: 7", "--lr 0.1", "8:30@noon"],
)  # fmt: skip
def test_what_hides_no_secret_is_shown(text):
    assert masked_text(text) == text


def test_where_one_works_is_no_secret(monkeypatch):
    monkeypatch.setenv("PWD", "/srv/somebody/work")
    monkeypatch.setenv("OLDPWD", "/srv/somebody")
    monkeypatch.setenv("DB_PWD", "hunter-two")
    text = "out=/srv/somebody/work/runs PWD=/srv/somebody/work"
    assert masked_text(text) == text and masked_text("at hunter-two") == f"at {MASK}"
    assert masked_text("db_pwd=hunter") == f"db_pwd={MASK}"
