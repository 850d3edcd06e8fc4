"""Makes docs/preview.png, the README's picture: a page of ``glitbuild preview`` with a sentence pointed at.

python docs/screenshot.py        (or: make screenshot)
"""

import io
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from glitbuild.stages.match.command import run_match
from glitbuild.stages.match.options import MatchOptions
from glitbuild.stages.publish.page.preview import PreviewOptions, run_preview
from glitbuild.stages.scenes.command import run_scenes
from glitbuild.stages.scenes.options import ScenesOptions

OUT = Path(__file__).with_name("preview.png")
WIDTH, HEIGHT = 1200, 760
SCENE = 1
POINTED_AT = "butterfly"


def main() -> None:
    """Draw, match, write the page, and take its picture."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        drawn, pairs, page_file = f"{folder}/scenes", f"{folder}/scene-pairs", Path(folder, "page.html")
        run_scenes(ScenesOptions(12, drawn, seed=5, split="val", size=480))
        run_match(MatchOptions(drawn, pairs, workers=0, detector="demo", clip_model="demo"))
        run_preview(PreviewOptions(pairs, str(page_file), max_side=1024))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(page_file.as_uri())
        sample = page.locator(".sample").nth(SCENE)
        sample.evaluate("element => element.scrollIntoView()")
        sample.locator(".sentence", has_text=POINTED_AT).first.hover()
        page.wait_for_timeout(300)
        shot = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    # A palette is enough for drawn pictures, and a third of the bytes.
    shot.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(OUT, optimize=True)
    print(f"{OUT}: {shot.width} x {shot.height}, {OUT.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
