import pytest

from glitbuild.stages.publish.hub.survey import IDENTIFIERS, identifier, metadata


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("CC BY 4.0", "cc-by-4.0"),
        ("cc-by-nc-sa-2.0", "cc-by-nc-sa-2.0"),
        ("http://creativecommons.org/licenses/by-nc-sa/2.0/", "cc-by-nc-sa-2.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.de", "cc0-1.0"),
        ("CC0", "cc0-1.0"),
        ("Apache 2.0", "apache-2.0"),
        ("MIT", "mit"),
        ("openrail++", "openrail++"),
        ("CC BY 9.0", None),
        ("https://creativecommons.org/licenses/by/9.0/", None),
        ("ask me", None),
    ],
)
def test_the_hubs_name_of_a_licence(said: str, known: str | None) -> None:
    assert identifier(said) == known


def test_every_identifier_names_itself() -> None:
    assert {identifier(name) for name in IDENTIFIERS} == IDENTIFIERS


@pytest.mark.parametrize(
    ("licences", "expected"),
    [
        ([], {}),
        (["", ""], {}),
        (["MIT", "mit"], {"license": "mit"}),
        (["MIT", "CC BY 4.0"], {"license": ["cc-by-4.0", "mit"]}),
        (["MIT", ""], {"license": ["mit", "unknown"]}),
        (["Ask me!"], {"license": "other", "license_name": "ask-me"}),
        (["Ask me!", "MIT"], {"license": ["mit", "other"], "license_name": "ask-me"}),
        (["Ask me!", "Ask her"], {"license": "other"}),
    ],
)
def test_what_the_card_says(licences: list[str], expected: dict[str, object]) -> None:
    assert metadata(licences) == expected
