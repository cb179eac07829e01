"""Instance masks: Foveal's way against torchvision's paste + pycocotools, in one run, alternating; and memory.

Time: 100 soft masks (28 x 28) to COCO RLE on images of 1 and 4 megapixels; median CPU milliseconds (other work on the
machine counts less in them than in wall time) and the ratio; one thread. Both ways' pixels are compared on every mask.
Memory: 300 masks at 1080p to each format, one fresh process each: what the process grows by at its peak (RSS), and the
peak of Python's own allocations (tracemalloc; OpenCV's and torch's are only in RSS).

    python benchmarks/masks.py
"""

import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np

from foveal.imaging import masks

ROUNDS = 5
FORMATS = ("rle", "polygon", "png")


def instances(count: int, image_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Smooth blobs in boxes of 2 to 30 % of the image's sides, as objects in a crowd are."""
    rng = np.random.default_rng(count)
    yy, xx = np.mgrid[:28, :28] / 27 - 0.5
    angle = rng.uniform(0, np.pi, (count, 1, 1))
    wobble = 1 + 0.25 * np.sin(5 * np.arctan2(yy, xx) + rng.uniform(0, 6, (count, 1, 1)))
    radius = np.hypot(xx * np.cos(angle) + yy * np.sin(angle), 1.3 * (yy * np.cos(angle) - xx * np.sin(angle)))
    soft = 1 / (1 + np.exp(20 * (radius - 0.4 * wobble)))
    height, width = image_hw
    size = rng.uniform(0.02, 0.3, (count, 2)) * [width, height]
    corner = rng.uniform(0, 1, (count, 2)) * ([width, height] - size)
    return soft.astype(np.float32), np.hstack([corner, corner + size]).astype(np.float32)


def ours(soft: np.ndarray, boxes: np.ndarray, image_hw: tuple[int, int]) -> list[str]:
    return [masks.rle(masks.paste(s, b, image_hw))["counts"] for s, b in zip(soft, boxes, strict=True)]


def usual(soft: np.ndarray, boxes: np.ndarray, image_hw: tuple[int, int]) -> list[str]:
    """What evaluation scripts do: paste every mask on a full model input, then encode the model inputs."""
    import torch
    from pycocotools import mask as coco_mask
    from torchvision.models.detection.roi_heads import paste_masks_in_image

    pasted = paste_masks_in_image(torch.from_numpy(soft)[:, None], torch.from_numpy(boxes), image_hw)
    full = (pasted[:, 0] > 0.5).numpy().astype(np.uint8)
    return [coco_mask.encode(np.asfortranarray(bitmap))["counts"].decode() for bitmap in full]


def differing_px(first: list[str], second: list[str], image_hw: tuple[int, int]) -> int:
    def bitmap(counts: str) -> np.ndarray:
        return masks.rle_bitmap({"size": list(image_hw), "counts": counts})

    return sum(int(np.count_nonzero(bitmap(a) != bitmap(b))) for a, b in zip(first, second, strict=True) if a != b)


def speed() -> None:
    import torch

    torch.set_num_threads(1)
    print(
        "| image | torchvision + pycocotools, CPU ms | Foveal, CPU ms | ratio | pixels that differ |\n"
        "|---|---|---|---|---|"
    )
    for image_hw in ((1000, 1000), (1080, 1920), (2000, 2000)):
        soft, boxes = instances(100, image_hw)
        times: dict[str, list[float]] = {"usual": [], "ours": []}
        for _ in range(ROUNDS):
            for name, way in (("usual", usual), ("ours", ours)):
                start = time.process_time()
                way(soft, boxes, image_hw)
                times[name].append(1e3 * (time.process_time() - start))
        theirs, mine = (statistics.median(times[name]) for name in ("usual", "ours"))
        off = differing_px(usual(soft, boxes, image_hw), ours(soft, boxes, image_hw), image_hw)
        size, total = f"{image_hw[1]} x {image_hw[0]}", 100 * image_hw[0] * image_hw[1] / 1e6
        print(f"| {size} | {theirs:.0f} | {mine:.1f} | {theirs / mine:.0f} | {off} of {total:.0f} M |")


def rss_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def memory(mask_format: str) -> None:
    """Runs alone in its process: 300 masks, each rendered and thrown away but for its JSON."""
    image_hw = (1080, 1920)
    soft, boxes = instances(300, image_hw)
    masks.RENDERERS[mask_format](masks.paste(soft[0], boxes[0], image_hw))  # libraries are loaded, pools exist
    before, peak, stop = rss_mb(), [0.0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.001):
            peak[0] = max(peak[0], rss_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.thread_time()
    rendered = [masks.RENDERERS[mask_format](masks.paste(s, b, image_hw)) for s, b in zip(soft, boxes, strict=True)]
    seconds = time.thread_time() - start
    stop.set()
    watcher.join()
    tracemalloc.start()
    rendered = [masks.RENDERERS[mask_format](masks.paste(s, b, image_hw)) for s, b in zip(soft, boxes, strict=True)]
    traced = tracemalloc.get_traced_memory()[1] / 1e6
    kilobytes = sum(len(str(one)) for one in rendered) / 1e3
    grown = max(0.0, peak[0] - before)
    print(f"| {mask_format} | {1e3 * seconds:.0f} | {grown:.1f} | {traced:.1f} | {kilobytes:.0f} |", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        memory(sys.argv[1])
        return
    speed()
    print(
        "\n| 300 masks at 1080p | CPU ms | peak RSS growth, MB | peak tracemalloc, MB | result, kB |\n"
        "|---|---|---|---|---|"
    )
    sys.stdout.flush()
    for mask_format in FORMATS:
        subprocess.run([sys.executable, __file__, mask_format], check=True)


if __name__ == "__main__":
    main()
