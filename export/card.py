"""Model cards (CARD.md, `card`): a model in plain words, every figure with the number of images behind it.

After Mitchell et al., "Model Cards for Model Reporting", 2019.
"""

from collections.abc import Mapping

from foveal.packages.manifest import Manifest, Metrics
from foveal.tasks import TASKS
from foveal.text_files import plain_line

FIGURES = {  # metric -> what it means; a metric without a line here is shown by its name alone
    "top1": "share of images whose first answer is right",
    "top5": "share of images whose right answer is among the first five",
    "macro_f1": "F1 (balance of precision and recall), every class counting the same",
    "ece": "expected calibration error: how far scores are from being true probabilities; 0 is best",
    "miou": "IoU (overlap / union) of each class over all pixels together, every class counting the same",
    "dice": "2 overlap / (found + true) of each class over all pixels together, every class counting the same",
    "pixel_accuracy": "share of pixels whose class is right",
    "boundary_f": "F1 of the outlines, within 0.75 % of the image's diagonal",
    "AP50": "average precision (area under precision over recall), objects found at IoU 0.5, mean of the classes",
    "AP": "COCO's AP: the same, mean over IoU 0.50, 0.55 … 0.95",
    "AP75": "average precision at IoU 0.75",
    "AR_100": "share of objects found among the best 100 of an image, mean over IoU 0.50 … 0.95",
    "best_f1": "the best F1 that one score threshold gives on these images, all classes together, at IoU 0.5",
    "box_AP50": "AP50 of the boxes; the lines above measure masks",
    "box_AP": "AP of the boxes",
}
THRESHOLD = """

Objects with a score above {:g} are given unless a request says otherwise (`score_threshold`): {}."""
EDITED = "set by the package's maker"
LEFT_OUT = """

Only these classes are answered unless a request names others (`classes`): {}. The figures below are of all classes."""
BEST_F1 = "on the `val` split that\nthreshold has the best F1"
BY_RECIPE = "the recipe's\nthreshold, since this training learnt the `val` split too and left none to choose one"
BY_IMPORT = "chosen when it was\nimported, not measured"
UNMEASURED = """\
## How good it is

Not measured: it was imported, and Foveal does not know what it learnt from. `foveal evaluate {name} --data DIR`
measures it on images of yours."""
UNKNOWN_DATA = """\
What it was trained on is not known. Cameras, light, places or people that it has not seen can lower its figures."""
UNPROVED = """\
**Unproved**: nobody showed that it answers as its own framework does (`--unproved`). Colours, scale, padding or classes
may be read wrongly; `foveal import --reference` proves them."""
CALIBRATED = """\
Scores are calibrated: logits are divided by a temperature of {:.4g}, fitted on {} images of the `val` split (Guo et
al., ICML 2017). That never changes which class is first."""
MEASURED_WITH = {"score_threshold", "iou_threshold", "max_detections"}  # defaults that figures depend on
WHOLE = ("support", "objects")  # figures by class that count things


def card(manifest: Manifest, *, about: str) -> str:
    """The text of CARD.md.

    Args:
        manifest: the whole manifest.
        about: the maker's own words on what the model is for; may be empty.
    """
    made = _imported if manifest.imported else _made
    sections = (_head(manifest, about), _use(manifest), _metrics(manifest), _limits(manifest), made(manifest))
    return "\n\n".join(sections) + "\n"


def _head(manifest: Manifest, about: str) -> str:
    count = len(manifest.labels)
    purpose = TASKS[manifest.task].purpose.format(classes=f"{count} class{'' if count == 1 else 'es'}")
    labels = ", ".join(f"`{plain_line(label)}`" for label in manifest.labels)
    height, width = manifest.preprocess.input_hw
    lines = [f"# {manifest.name}, version {manifest.version}", about, purpose, f"Classes: {labels}."]
    came = "imported" if manifest.imported else "fine-tuned"
    lines.append(
        f"Network: {manifest.architecture}, {came}; it sees images at {width} × {height} px "
        f"(`{manifest.preprocess.mode}`), whatever their size."
    )
    return "\n\n".join(line for line in lines if line)


def _use(manifest: Manifest) -> str:
    endpoint, ref = TASKS[manifest.task].endpoint, f"{manifest.name}@{manifest.version}"
    defaults = manifest.pipeline.defaults
    source = BEST_F1 if manifest.data and manifest.data.images.get("val") else BY_RECIPE
    if manifest.imported:
        source = BY_IMPORT
    if manifest.edited and "score_threshold" in manifest.edited.changes:
        source = EDITED
    threshold = "" if defaults.score_threshold is None else THRESHOLD.format(defaults.score_threshold, source)
    if defaults.classes:
        threshold += LEFT_OUT.format(", ".join(f"`{label}`" for label in defaults.classes))
    return f"""## How to use

```sh
foveal predict photo.jpg --model {ref}
curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' 'http://localhost:3000/v1/{endpoint}?model={ref}'
```

```python
import foveal

print(foveal.load("{ref}")("photo.jpg"))
```{threshold}"""


def _metrics(manifest: Manifest) -> str:
    metrics = manifest.metrics
    if metrics is None:
        return UNMEASURED.format(name=manifest.name)
    rows = ["| figure | value | 95 % interval | before export | meaning |", "|---|---|---|---|---|"]
    for name, value in metrics.values.items():
        low_high = metrics.intervals_95.get(name)
        interval = f"{low_high[0]:.4f} – {low_high[1]:.4f}" if low_high else ""
        before = f"{metrics.checkpoint_values[name]:.4f}" if name in metrics.checkpoint_values else ""
        rows.append(f"| {name} | {value:.4f} | {interval} | {before} | {FIGURES.get(name, '')} |")
    before = "the members' own answers, averaged" if manifest.members else "the trained PyTorch model"
    intro = (
        f"Measured on {metrics.images} images of the `{metrics.split}` split, {_part_of(metrics.split)}, "
        f"through this package as it is served; *before export* is {before} under the same code."
    )
    if manifest.edited and (changed := MEASURED_WITH & manifest.edited.changes.keys()):
        since = "; ".join(f"{name} {manifest.edited.changes[name]}" for name in sorted(changed))
        intro += f" They were measured before these defaults were changed: {since}."
    more = [*_calibrated(manifest), *_members(manifest), *_per_class(metrics)]
    return "\n".join(["## How good it is", "", intro, "", *rows, *more])


def _part_of(split: str) -> str:
    if split == "val":
        return "which chose the epoch and the defaults, so that the figures flatter"
    return "which took no part in training"


def _calibrated(manifest: Manifest) -> list[str]:
    found = manifest.pipeline.calibration
    if found.temperature is None:
        return []
    before = ""
    if found.ece_before is not None and found.ece_before_95 is not None:
        low, high = found.ece_before_95
        before = f" Without it `ece` would be {found.ece_before:.4f} ({low:.4f} – {high:.4f})."
    return ["", CALIBRATED.format(found.temperature, found.images) + before]


def _members(manifest: Manifest) -> list[str]:
    if not manifest.members:
        return []
    lines = ["", "Its scores are the mean of its members' scores. Alone, on the same images, they have:", ""]
    names = list(manifest.metrics.values) if manifest.metrics else []
    lines += [f"| member | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for member in manifest.members:
        lines.append(f"| {member.ref} | {' | '.join(f'{member.values[name]:.4f}' for name in names)} |")
    return lines


def _per_class(metrics: Metrics) -> list[str]:
    if not metrics.per_class:
        return []
    columns = list(dict.fromkeys(column for figures in metrics.per_class.values() for column in figures))
    lines = ["", f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for label, figures in metrics.per_class.items():
        cells = (figure(c, figures.get(c)) for c in columns)
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def figure(name: str, value: float | None) -> str:
    """A cell; empty for what could not be measured (a class without objects has no AP)."""
    if value is None:
        return ""
    return f"{value:.0f}" if name in WHOLE else f"{value:.3f}"


def _limits(manifest: Manifest) -> str:
    if manifest.data is None or manifest.metrics is None:
        return f"## Limits\n\n- {TASKS[manifest.task].limit}\n- {UNKNOWN_DATA}"
    return f"""## Limits

- {TASKS[manifest.task].limit}
- The figures hold for images like those of `{manifest.data.name}`. Other cameras, light, places or people can lower
  them: measure on your own images with `foveal evaluate {manifest.name} --data DIR`.
- {manifest.metrics.images} test images bound what is known; the intervals treat every image as independent."""


def _imported(manifest: Manifest) -> str:
    imported, parity = manifest.imported, manifest.parity
    assert imported is not None
    proof = UNPROVED
    if (reference := imported.reference) is not None:
        framework = plain_line(reference.framework)
        proof = (
            f"Proved: on {reference.images} images the package answered as {framework} had (sha256 of the "
            f"answers: `{reference.digest}`).\n  Had to hold: {reference.criterion}. Measured: "
            f"{measured_line(reference.measured)}."
        )
    flags = " ".join(f"{flag} {value}" for flag, value in imported.reading.items() if value != "None")
    notes = "".join(f"\n- Note: {note}." for note in imported.notes)
    versions = ", ".join(f"{name} {version}" for name, version in manifest.created_with.items())
    return f"""## Where it came from

- Imported from `{imported.source}` (sha256 `{imported.source_sha256}`), as {imported.family}.
- {proof}
- Read with: `{flags}`.
- Graph proved against {parity.reference}, on {parity.images} images in batches of
  {", ".join(map(str, parity.batch_sizes))}. Had to hold: {parity.criterion}.
  Measured: {measured_line(parity.measured)}.
- Licence of the weights: {manifest.licences.weights}
- Licence of the data: {manifest.licences.data}
- Made with {versions}.{notes}{_changes(manifest)}"""


def _changes(manifest: Manifest) -> str:
    """What `foveal package set` did."""
    if not manifest.edited:
        return ""
    changes = "".join(f"\n  - {name}: {how}" for name, how in manifest.edited.changes.items())
    return (
        f"\n- Made from {manifest.edited.ref} (`{manifest.edited.digest}`) by `foveal package set`: the same "
        f"graph, byte for byte; golden results anew. Changed:{changes}"
    )


def _made(manifest: Manifest) -> str:
    assert manifest.data is not None
    counts = ", ".join(f"{count} {split}" for split, count in manifest.data.images.items())
    training = f"the recipe and the seed ({manifest.seed}) are in `manifest.json`."
    if manifest.members:
        training = f"as the cards of {', '.join(member.ref for member in manifest.members)} say."
    parity = manifest.parity
    worst = measured_line(parity.measured)
    versions = ", ".join(f"{name} {version}" for name, version in manifest.created_with.items())
    return f"""## How it was made

- Data: `{manifest.data.name}` ({manifest.data.layout}): {counts} images; fingerprint `{manifest.data.fingerprint}`.
- Licence of the data: {manifest.licences.data}
- Licence of the weights: {manifest.licences.weights}
- Training: {training}
- Export proved against {parity.reference}, on {parity.images} images in batches of
  {", ".join(map(str, parity.batch_sizes))}. Had to hold: {parity.criterion}. Measured: {worst}.
- Made with {versions}.{_changes(manifest)}"""


def about_of(text: str, manifest: Manifest) -> str:
    """The maker's own words on a card that `card` wrote for this manifest; empty: none."""
    title, purpose, _ = _head(manifest, "").split("\n\n", 2)
    _, found, rest = text.partition(f"{title}\n\n")
    words, known, _ = rest.partition(f"{purpose}\n")
    return words.strip() if found and known else ""


def figures_line(values: Mapping[str, float]) -> str:
    """`top1 0.9474, macro_f1 0.9471`."""
    return ", ".join(f"{name} {value:.4f}" for name, value in values.items())


def measured_line(measured: Mapping[str, float]) -> str:
    """Differences and counts of a proof, in words."""
    return ", ".join(f"{name} {_measured(value)}" for name, value in measured.items())


def _measured(value: float) -> str:
    """A count whole, a difference by its two first digits."""
    return f"{value:.0f}" if value.is_integer() else f"{value:.2g}"
