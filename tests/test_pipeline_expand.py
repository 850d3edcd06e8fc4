import pytest

from glitbuild.errors import ConfigError
from glitbuild.pipeline import expand_home, expand_variables

ENVIRONMENT = {"DATA": "/data", "RUN_1": "runs/1", "EMPTY": "", "ODD": "$DATA ~ ${X}"}


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${DATA}/raw", "/data/raw"),
        ("$DATA/raw", "/data/raw"),
        ("${RUN_1}/${DATA}", "runs/1//data"),
        ("$RUN_1", "runs/1"),
        ("${NOSUCH:-data}/raw", "data/raw"),
        ("${EMPTY:-data}", "data"),
        ("${EMPTY:-}x", "x"),
        ("${DATA:-x}", "/data"),
        ("$$DATA and $${DATA}", "$DATA and ${DATA}"),
        ("$$$DATA", "$/data"),
        ("5 $ or $5", "5 $ or $5"),
        ("$", "$"),
        ("${ODD}", "$DATA ~ ${X}"),
        ("nothing", "nothing"),
    ],
)
def test_variables_are_replaced_as_in_a_shell(text: str, expanded: str) -> None:
    assert expand_variables(text, "a.yaml, out", ENVIRONMENT) == expanded


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${NOSUCH}/raw", "the variable NOSUCH is not set"),
        ("$NOSUCH/raw", "the variable NOSUCH is not set"),
        ("${EMPTY}/raw", "the variable EMPTY is empty"),
        ("${}", "is not a variable"),
        ("${DATA", "is not a variable"),
        ("${A B}", "is not a variable"),
        ("${DATA:0:2}", "is not a variable"),
    ],
)
def test_one_that_is_not_set_is_named(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        expand_variables(text, "a.yaml, out", ENVIRONMENT)
    assert error.value.what == "a.yaml, out"


def test_a_leading_tilde_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    assert expand_home("~/data") == "/home/anna/data"
    assert expand_home("~") == "/home/anna"
    assert expand_home(("a", "~/b")) == ("a", "/home/anna/b")
    for kept in ("a/~/b", "./~", "~nosuchuser/data", "s3://a/~", 7, None, True):
        assert expand_home(kept) == kept
