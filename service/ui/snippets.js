/** Commands that repeat a request (curl, Python), and COCO results. */

import { address, key } from "./api.js";

const KEY_VARIABLE = "FOVEAL_KEY"; // the key itself never gets into a clipboard

/** 'it'"'"'s' — one word for a POSIX shell, whatever is in it. */
const shellWord = (text) => `'${text.replaceAll("'", `'"'"'`)}'`;

const mediaType = (image) => image.file.type || "application/octet-stream";

/** A line for a shell. A chosen file is expected in the current folder; an example is fetched from the service. */
export function asCurl(endpoint, parameters, image) {
  const curl = key.get() ? `curl -sS -H "Authorization: Bearer $${KEY_VARIABLE}"` : "curl -sS";
  const fetched = image.source ? `${curl} ${shellWord(address(image.source).href)} | ` : "";
  const data = image.source ? "@-" : shellWord(`@${image.name}`);
  const type = shellWord(`Content-Type: ${mediaType(image)}`);
  return `${fetched}${curl} --data-binary ${data} -H ${type} ${shellWord(address(endpoint, parameters).href)}`;
}

/** Python's standard library only. */
export function asPython(endpoint, parameters, image) {
  const auth = key.get() ? `"Authorization": "Bearer " + os.environ["${KEY_VARIABLE}"]` : "";
  const headers = [`"Content-Type": ${pythonText(mediaType(image))}`, auth].filter(Boolean).join(", ");
  const read = image.source
    ? `urlopen(Request(${pythonText(address(image.source).href)}, headers={${auth}})).read()`
    : `open(${pythonText(image.name)}, "rb").read()`;
  return `import json
import os
from urllib.request import Request, urlopen

image = ${read}
url = ${pythonText(address(endpoint, parameters).href)}
request = Request(url, data=image, headers={${headers}})
with urlopen(request) as answer:
    print(json.dumps(json.load(answer), indent=1))
`.replace(auth ? "" : "import os\n", "");
}

/** A JSON string is a Python string once it is ASCII; \U and eight digits stand for what is beyond 16 bits. */
function pythonText(value) {
  const escape = (character) => {
    const code = character.codePointAt(0).toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
  };
  return JSON.stringify(value).replace(/[\u007f-\u{10ffff}]/gu, escape);
}

/** Rows as `foveal predict --format coco` writes them for this one image: image 1, category_id = class_id + 1. */
export function asCoco(entry) {
  const round = (value) => Math.round(value * 100) / 100;
  return entry.detections.map(({ class_id: classId, score, box: [x1, y1, x2, y2], mask }) => ({
    image_id: 1,
    category_id: classId + 1,
    bbox: [x1, y1, round(x2 - x1), round(y2 - y1)],
    score,
    ...(mask && { segmentation: { size: mask.size, counts: mask.counts } }),
  }));
}
