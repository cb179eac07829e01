/** Colours of classes: those of the service's own overlays (src/foveal/imaging/drawing.py), so that both look alike. */

const GOLDEN_ANGLE = 0.61803398875; // of a turn: hues of neighbouring ids lie far apart
const SATURATION = 200 / 255;

/** Class id -> [r, g, b]. */
export function colourOf(id) {
  const hue = Math.round(((id * GOLDEN_ANGLE + 0.55) % 1) * 255); // 8-bit HSV, as OpenCV's
  return fromHsv((hue * 6) / 255, SATURATION, [255, 180, 215][Math.floor(id / 5) % 3]);
}

/** hue in 0..6, saturation 0..1, value 0..255 */
function fromHsv(hue, saturation, value) {
  const sector = Math.floor(hue) % 6;
  const rest = hue - Math.floor(hue);
  const low = value * (1 - saturation);
  const falling = value * (1 - saturation * rest);
  const rising = value * (1 - saturation * (1 - rest));
  const rgb = [
    [value, rising, low],
    [falling, value, low],
    [low, value, rising],
    [low, falling, value],
    [rising, low, value],
    [value, low, falling],
  ][sector];
  return rgb.map(Math.round);
}

/** "#000" or "#fff", whichever has the higher contrast on a colour (relative luminance of WCAG 2.1). */
export function textOn(rgb) {
  const linear = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000" : "#fff";
}

export const css = ([r, g, b], alpha = 1) => `rgb(${r} ${g} ${b} / ${alpha})`;
