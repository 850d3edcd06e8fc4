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
@click.option("--model", required=True, help="A vision model's name there.")
@click.option("--prompt", help="A text file with what to ask.  [default: the package's]")
@click.option("--max-side", default=1024, show_default=True, help="Larger pictures are sent reduced to it, pixels.")
@click.option("--max-tokens", default=512, show_default=True, help="An answer that reaches it is skipped.")
@click.option("--temperature", default=0.0, show_default=True, help="0 takes the likeliest token every time.")
@click.option("--seed", type=int, help="Sent where given, for endpoints that take one.")
@click.option("--concurrency", default=16, show_default=True, help="Requests at a time.")
@click.option("--retries", default=5, show_default=True, help="More tries of a request that fails.")
@click.option("--timeout", default=120.0, show_default=True, help="Seconds to wait for an answer.")
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
