from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from glitbuild.errors import ConfigError
from glitbuild.records import Rejected, SkipReason
from glitbuild.stages.ingest.download.address import parse_url
from glitbuild.stages.ingest.download.fetch import DownloadOptions, retry_after


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://a.org/x.jpg", "http://a.org/x.jpg"),
        (" HTTPS://a.org/x.jpg\n", "https://a.org/x.jpg"),
        ("http://me:secret@a.org/x.jpg#part", "http://a.org/x.jpg"),
        ("http://a.org/%7Ex/a%2Fb.jpg?s=a%2Bb%20c", "http://a.org/%7Ex/a%2Fb.jpg?s=a%2Bb%20c"),
        ("http://a.org/ä b.jpg", "http://a.org/%C3%A4%20b.jpg"),
        ("http://bücher.de/x.jpg", "http://xn--bcher-kva.de/x.jpg"),
    ],
)
def test_an_address_is_asked_as_it_was_written(text: str, expected: str) -> None:
    assert str(parse_url(text)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "a.jpg", "ftp://a.org/x", "file:///etc/passwd", "http://", "http:///x", "http://[::1", "http://a:b/"],
)
def test_what_is_no_address_of_http_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse_url(text)
    assert caught.value.reason == SkipReason.DOWNLOAD_REFUSED


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after("7") == 7.0
    assert retry_after(None) is retry_after("soon") is retry_after("-3") is None
    assert retry_after(format_datetime(datetime(2001, 1, 1, tzinfo=UTC), usegmt=True)) == 0.0
    wait = retry_after(format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True))
    assert wait is not None and 3000 < wait <= 3600


@pytest.mark.parametrize(
    "wrong",
    [
        {"connections": 0},
        {"connections_per_host": 0},
        {"timeout": 0.0},
        {"total_timeout": float("nan")},
        {"total_timeout": float("inf")},
        {"retries": -1},
        {"retry_wait": -1.0},
        {"retry_wait": float("nan")},
        {"max_download_bytes": 0},
        {"user_agent_token": "a\r\nX: b"},
        {"user_agent_token": "a\n"},
    ],
)
def test_options_that_make_no_sense(wrong: dict[str, int | float | str]) -> None:
    (name,) = wrong
    with pytest.raises(
        ConfigError, match="--" + name.replace("_", "-") if name != "retry_wait" else "--retry-wait"
    ):
        DownloadOptions(**wrong)  # type: ignore[arg-type]
