"""Which way from the network's model input back to the image: nearest class ids, or bilinear logits and then argmax.

The package does the first: its graph gives class ids, a byte a pixel, and memory stays bounded whatever the image's
size. This measures what that costs in mIoU on a run's val split, where the choice belongs.

    python benchmarks/upscaling.py RUN [--data DIR]
"""

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from foveal.metrics.semantic import score_segmentation
from foveal.models.readers import reader_of
from foveal.models.runs import load_run
from foveal.models.segmentation.scoring import result_of
from foveal.models.training.run_folder import data_root
from foveal.tasks.semantic_segmentation import SemanticMap


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="val")
    arguments = parser.parse_args()
    checkpoint = load_run(arguments.run)
    recipe, labels = checkpoint.recipe, checkpoint.labels
    data = reader_of(checkpoint.task).load(arguments.data or data_root(arguments.run), recipe)
    samples = data.splits[arguments.split]
    nearest, bilinear = [], []
    for sample, (model_input, _) in zip(samples, checkpoint.trainer.eval_set(samples, recipe), strict=True):  # type: ignore[call-overload]
        with torch.inference_mode():
            logits = checkpoint.network(model_input[None])
        truth = sample.truth.read()
        ids = logits.argmax(1)[0].to(torch.uint8).numpy()
        nearest.append(result_of(ids, truth, checkpoint.preprocess, labels))
        height, width = checkpoint.preprocess.resized_hw(truth.shape)
        enlarged = F.interpolate(logits[:, :, :height, :width], size=truth.shape, mode="bilinear", align_corners=False)
        bilinear.append(SemanticMap(enlarged.argmax(1)[0].numpy().astype(np.uint8), labels, truth.shape))
    truths = [sample.truth for sample in samples]
    for name, results in (("nearest ids", nearest), ("bilinear logits", bilinear)):
        values = score_segmentation(results, truths, labels).values
        print(f"{name:16}", "  ".join(f"{key} {value:.4f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
