"""A picture of the try-it page, in a real Chromium, with a drawn board and made-up scores."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from PIL import Image

from serving.app import create_app
from tests.serving.running import run_server
from tests.serving.tiny import make_network, write_bundle
from tests.spark_jobs.report.boards import KINDS, draw_board

SIZE = (760, 910)
# Times the brightness of a board, which is about 0.02.
WEIGHTS = (45.0, 205.0, 75.0, 20.0, 60.0)


def make_boards_network() -> onnx.ModelProto:
    """Scores of the five kinds, much the same for every board."""
    model = make_network()
    (weights,) = model.graph.initializer
    weights.CopyFrom(onnx.numpy_helper.from_array(np.array([WEIGHTS], np.float32), weights.name))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = len(KINDS)
    return model


def main() -> int:
    """Write try.png, of at most 64 colours."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("no chromium: apt-get install chromium")
    path = folder / "try.png"
    with tempfile.TemporaryDirectory() as name, sync_playwright() as started:
        bundle = write_bundle(Path(name) / "b", classes=KINDS, network=make_boards_network())
        with run_server(create_app(bundle, "boards", 7)) as port:
            browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
            page.goto(f"http://127.0.0.1:{port}")
            picture = Path(name) / "board.jpg"
            picture.write_bytes(draw_board("knot", 3))
            page.set_input_files("#file", picture)
            page.wait_for_selector("#results tr")
            page.screenshot(path=path)
            browser.close()
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)
    print(f'{{"picture": "{path}", "bytes": {path.stat().st_size}}}')
    return 0


if __name__ == "__main__":
    sys.exit(main())
