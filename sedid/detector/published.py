"""The generated images that a bundle's figures were measured on, kept with it: every figure can be had again.

    images/<sampler>-<steps>/calibration.zip, test.zip      the images as lossless WebP files; what reads data sets reads them
    images/<sampler>-<steps>/manifest.json                  how they were made

`recipes.verify` scores them anew. Real images are not kept: most may not be passed on.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sedid.storage import replacing

FOLDER = "images"
DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can hold: the same images are the same bytes whenever they are written."""


def write_images(images: np.ndarray, file: Path) -> None:
    """Write images, uint8 (N, H, W, 3), as a .zip of lossless WebP files: about 2 kB each at 32 pixels."""
    from PIL import Image

    with replacing(file) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for place, one in enumerate(images):
            written = io.BytesIO()
            # of so small pictures, the encoder's more thorough methods make files 5 % larger
            Image.fromarray(one).save(written, "WEBP", lossless=True, quality=80, method=2, exact=True)
            archive.writestr(zipfile.ZipInfo(f"{place:06d}.webp", DATE), written.getvalue())


def published_sets(bundle: Path) -> Iterator[Path]:
    """The files of images that a bundle keeps; none in bundles of earlier versions."""
    yield from sorted((Path(bundle) / FOLDER).glob("*/*.zip"))
