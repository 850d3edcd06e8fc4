import pytest

from glitbuild.stages.ingest.download.fetch import opted_out


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ([], None),
        ([""], None),
        (["all"], None),
        (["noai"], "noai"),
        (["noai, noimageai"], "noai"),
        (["nofollow, NoImageAI"], "noimageai"),
        (["noindex"], "noindex"),
        (["noimageindex"], "noimageindex"),
        (["none"], "none"),
        (["nofollow", "noai"], "noai"),
        (["glitbuild: noai"], "noai"),
        (["GlitBuild:noindex, nofollow"], "noindex"),
        (["mine: noai"], "noai"),
        (["otherbot: noai"], None),
        (["otherbot: noindex, noai"], None),
        (["otherbot: nofollow, glitbuild: noai"], "noai"),
        (["otherbot: noai", "noimageai"], "noimageai"),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], "noai"),
        (["max-image-preview: none, nofollow"], None),
        (["noaim, xnoindex"], None),
    ],
)
def test_directives(headers: list[str], found: str | None) -> None:
    assert opted_out(headers, ("glitbuild", "mine")) == found


def test_without_a_name_of_ones_own_an_empty_name_is_not_it() -> None:
    assert opted_out(["otherbot: noai, : noai"], ("glitbuild",)) is None
