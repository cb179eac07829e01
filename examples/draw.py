"""Draw the README's example images: one for each shipped model, by the seeded scene generator. `make examples`."""

from pathlib import Path

import cv2

from foveal.synth import draw, draw_one

HERE = Path(__file__).parent
STAR = 4  # class id of style `shapes`

IMAGES = {
    "shapes.png": draw_one("shapes", STAR, seed=100, index=1, image_hw=(192, 256)),
    "blood-cells.png": draw("blood", seed=100, index=2, image_hw=(480, 640)),
    "nuclei.png": draw("nuclei", seed=100, index=0, image_hw=(360, 480)),
    "aerial-scenes.png": draw("aerial", seed=100, index=4, image_hw=(384, 512)),
}

if __name__ == "__main__":
    for name, scene in IMAGES.items():
        cv2.imwrite(str(HERE / name), scene.rgb[:, :, ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
