"""Write scikit-learn's handwritten digits as PNG files: python -m …importing.digits FOLDER."""

import sys
from collections.abc import Sequence
from pathlib import Path

# The dataset has 8 × 8 pixels a digit (UCI's "Optical Recognition of Handwritten Digits",
# CC BY 4.0); on a screen that is too small to see.
SIDE = 64


def write_digits(folder: Path) -> int:
    """One sub-folder per digit, dark strokes on white; returns the number of files."""
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for number, (values, digit) in enumerate(zip(digits.images, digits.target, strict=True)):
        pixels = np.rint(255 - values * (255 / 16)).astype(np.uint8)
        place = folder / str(digit) / f"{number:04}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(place)
    return len(digits.images)


def main(argv: Sequence[str] | None = None) -> int:
    """Write them below the one argument."""
    (folder,) = sys.argv[1:] if argv is None else argv
    print(f"{write_digits(Path(folder))} pictures of handwritten digits in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
