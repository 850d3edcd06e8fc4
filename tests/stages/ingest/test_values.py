from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from glitbuild.stages.ingest.values import is_missing, stands_for_nothing, to_name, to_text

NOTHING = [
    *(None, float("nan"), float("inf"), -float("inf"), Decimal("NaN")),
    *(np.float32("nan"), np.float64("nan"), np.datetime64("NaT"), pd.NA, pd.NaT),
]


@pytest.mark.parametrize("value", NOTHING, ids=repr)
def test_nothing(value):
    assert is_missing(value)
    assert to_text(value) == to_name(value) == ""


@pytest.mark.parametrize("value", [0, 0.0, False, "", b"", [], {}, "nan", np.zeros(2), np.float64(1.5)], ids=repr)
def test_something(value):
    assert not is_missing(value)


@pytest.mark.parametrize("text", ["nan", "NaN", " nan ", "NaT", "<NA>", "NULL", "None", "\\N", "#N/A", "-inf"])
def test_what_programs_write_for_nothing(text):
    assert stands_for_nothing(text) and stands_for_nothing(text, is_name=True)
    assert to_text(text) == to_name(text) == to_text(text.encode()) == ""


@pytest.mark.parametrize("text", ["NA", "N/A", "n/a", "null"])
def test_words_that_may_be_a_name(text):
    assert to_text(text) == ""
    assert to_name(text) == text


@pytest.mark.parametrize("text", ["Nan", "nan bread", "none", "No", "0", "-", "unknown", "Null Island", "infinity"])
def test_other_words_are_words(text):
    assert to_text(text) == to_name(text) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (1.5, "1.5"),
        (float((1 << 53) - 1), "9007199254740991"),
        (1e22, "1e+22"),
        (10**30, "1" + 30 * "0"),
        (True, "True"),
        ("1.0", "1.0"),
        ("é".encode(), "é"),
        (b"caf\xe9", "caf\\xe9"),
    ],
)
def test_numbers_and_bytes(value, expected):
    assert to_name(value) == to_text(value) == expected
