/** Image sources: drag and drop, the clipboard, the file dialog, the camera. */

import { $, el } from "./dom.js";

/**
 * @param {(files: File[]) => void} add
 * @param {HTMLDialogElement} dialog
 */
export function listenForImages(add, dialog) {
  const take = (files) => files.length && add([...files]);
  listenForDrops(take);
  document.addEventListener("paste", (event) => {
    if (event.clipboardData.files.length) take(event.clipboardData.files);
  });
  const inputs = { choose: $("#files"), capture: $("#capture") };
  for (const input of Object.values(inputs)) {
    input.addEventListener("change", () => {
      take(input.files);
      input.value = ""; // the same file may be chosen again
    });
  }
  for (const button of document.querySelectorAll("[data-add=choose]")) {
    button.addEventListener("click", () => inputs.choose.click());
  }
  for (const button of document.querySelectorAll("[data-add=camera]")) {
    button.addEventListener("click", () => {
      // browsers give the camera to https and localhost only; elsewhere a phone's own camera app answers
      if (navigator.mediaDevices?.getUserMedia) takePhoto(dialog, take);
      else inputs.capture.click();
    });
  }
}

function listenForDrops(take) {
  const zone = $("#dropzone");
  let depth = 0; // dragenter and dragleave are fired for every element under the pointer
  const holdsFiles = (event) => event.dataTransfer?.types.includes("Files");
  const show = (change) => {
    depth = Math.max(0, depth + change);
    zone.hidden = depth === 0;
  };
  window.addEventListener("dragenter", (event) => holdsFiles(event) && show(+1));
  window.addEventListener("dragleave", (event) => holdsFiles(event) && show(-1));
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault(); // else the browser would leave the page to show the file
    show(-depth);
    take(event.dataTransfer.files);
  });
}

async function takePhoto(dialog, take) {
  let stream;
  try {
    const video = { facingMode: "environment", width: { ideal: 4096 } };
    stream = await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    dialog.replaceChildren(el("h2", {}, "No camera"), el("p", {}, error.message), closeButton(dialog));
    dialog.showModal();
    return;
  }
  const video = el("video", { autoplay: true, muted: true, playsInline: true });
  video.srcObject = stream;
  const takeFrame = () => {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    const type = "image/jpeg";
    canvas.toBlob((blob) => take([new File([blob], `camera-${Date.now()}.jpg`, { type })]), type, 0.95);
    dialog.close();
  };
  const shutter = el("button", { type: "button", class: "primary", onclick: takeFrame, disabled: true }, "Take the photo");
  video.addEventListener("loadeddata", () => (shutter.disabled = false));
  dialog.replaceChildren(el("h2", {}, "Camera"), video, el("p", { class: "row" }, shutter, closeButton(dialog)));
  dialog.addEventListener("close", () => stream.getTracks().forEach((track) => track.stop()), { once: true });
  dialog.showModal();
}

export const closeButton = (dialog) => el("button", { type: "button", onclick: () => dialog.close() }, "Close");
