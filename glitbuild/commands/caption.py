"""``glitbuild caption``."""

from typing import Any

import click

from glitbuild.commands.common import common, overwrite
from glitbuild.commands.report import report

EXAMPLE = "glitbuild caption data/images --out data/raw --endpoint http://localhost:8000/v1 --model llava"


@click.command(
    short_help="Have a vision model write captions for images that lack them.", epilog=f"Example: {EXAMPLE}"
)
@click.argument("dir")
@click.option("--out", required=True, help="Dataset directory to write; a local path or an fsspec URL.")
@click.option("--endpoint", required=True, help="Base URL of the API, such as http://localhost:8000/v1.")
@click.option("--model", required=True, help="Name of the vision model at the endpoint.")
@click.option("--prompt", help="Text file with the prompt.  [default: the package's]")
@click.option(
    "--max-side", default=1024, show_default=True, help="Longest side of an image as it is sent, in pixels."
)
@click.option(
    "--max-tokens", default=512, show_default=True, help="Most tokens of an answer; one that reaches it is skipped."
)
@click.option(
    "--temperature",
    default=0.0,
    show_default=True,
    help="Sampling temperature; 0 always takes the likeliest token.",
)
@click.option("--seed", type=int, help="Sampling seed, for endpoints that take one.")
@click.option("--concurrency", default=16, show_default=True, help="Number of concurrent requests.")
@click.option("--retries", default=5, show_default=True, help="Retries per failed request.")
@click.option("--timeout", default=120.0, show_default=True, help="Timeout of a request in seconds.")
@overwrite
@common
def caption(plain: bool, **options: Any) -> None:
    """Have a vision model write long captions for images that have none.

    DIR is a dataset directory that `glitbuild ingest --no-captions` finished; the endpoint is any
    OpenAI-compatible API with vision: vLLM, SGLang, Ollama, ... Its key is read from OPENAI_API_KEY.
    """
    from glitbuild.stages.caption.command import run_caption
    from glitbuild.stages.caption.options import CaptionOptions

    report(run_caption(CaptionOptions(**options), plain), options["out"])
