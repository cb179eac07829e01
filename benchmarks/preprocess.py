"""Decode + resize to a 224 x 224 model input: Foveal's way against the usual ones, in one run, alternating.

What is measured: median milliseconds of each way on the same JPEG bytes, and how far its model input is from the
reference (Pillow, full decode, box filter = exact area average) in levels of 0..255. One thread. Ratios are to Foveal's
way.

    python benchmarks/preprocess.py
"""

import io
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

from foveal.imaging.decode import decode
from foveal.imaging.preprocess import Preprocess

INPUT_HW = (224, 224)
OURS = Preprocess(mode="stretch", input_hw=INPUT_HW)
FULL = OURS.model_copy(update={"reduced_decode": False})
BILINEAR = FULL.model_copy(update={"interpolation": "bilinear"})


def photo(height: int, width: int) -> bytes:
    """Structure at every scale, as photos have it: octaves of noise with amplitude 1/frequency, JPEG quality 90."""
    rng = np.random.default_rng(0)
    levels = np.zeros((height, width, 3), np.float32)
    for octave in range(2, 10):
        grid = rng.normal(size=(3 * 2**octave, 4 * 2**octave, 3)).astype(np.float32)
        levels += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 2 ** (octave * 0.7)
    levels = 128 + 60 * levels / levels.std()
    out = io.BytesIO()
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=90)
    return out.getvalue()


def through(preprocess: Preprocess) -> Callable[[bytes], np.ndarray]:
    return lambda data: preprocess.apply(decode(data, target_hw=preprocess.decode_target))[0]


def pillow(resample: Image.Resampling, *, draft: bool = False) -> Callable[[bytes], np.ndarray]:
    def run(data: bytes) -> np.ndarray:
        opened = Image.open(io.BytesIO(data))
        if draft:
            opened.draft("RGB", INPUT_HW)
        return np.asarray(opened.convert("RGB").resize(INPUT_HW, resample))

    return run


WAYS: dict[str, Callable[[bytes], np.ndarray]] = {
    "Foveal: reduced decode + area": through(OURS),
    "full decode + area": through(FULL),
    "full decode + 2x2 bilinear (aliases)": through(BILINEAR),
    "Pillow + antialiased bilinear (torchvision on PIL)": pillow(Image.Resampling.BILINEAR),
    "Pillow draft + antialiased bilinear": pillow(Image.Resampling.BILINEAR, draft=True),
}


def main() -> None:
    cv2.setNumThreads(1)
    print("| photo | way | ms | x Foveal | mean error | max error |\n|---|---|---|---|---|---|")
    for height, width in [(768, 1024), (1704, 2272), (3024, 4032)]:
        data = photo(height, width)
        reference = pillow(Image.Resampling.BOX)(data).astype(int)
        times: dict[str, list[float]] = {name: [] for name in WAYS}
        for _ in range(9):
            for name, way in WAYS.items():
                start = time.perf_counter()
                model_input = way(data)
                times[name].append(1000 * (time.perf_counter() - start))
        ours = statistics.median(times["Foveal: reduced decode + area"])
        for name, way in WAYS.items():
            model_input = way(data)
            error = np.abs(model_input.astype(int) - reference)
            ms = statistics.median(times[name])
            megapixels = height * width / 1e6
            print(f"| {megapixels:.1f} MP | {name} | {ms:.1f} | {ms / ours:.2f} | {error.mean():.2f} | {error.max()} |")


if __name__ == "__main__":
    main()
