// The page: a photo or the camera in, boxes and bars out.
import { classify, cutFace, findFaces } from "./faces.js";

const CAMERA_SIDE = 256; // pixels of the longer side in the search: the camera is close
const LARGEST = 4096; // pixels a side that a phone's canvas can hold
const at = (name) => document.getElementById(name);
const say = (text) => { at("status").textContent = text; };

let loaded = null; // what load() returns
let table = []; // rows of the photo shown
let stream = null; // the camera's, while it runs
const spare = document.createElement("canvas");

async function load() {
  let ort;
  try {
    ort = await import("./ort.wasm.bundle.min.mjs");
  } catch {
    throw new Error("ONNX Runtime is missing: run “npm run runtime” in the page's folder.");
  }
  ort.env.wasm.numThreads = 1; // more need headers that plain servers do not send
  const [about, yunet, network] = await Promise.all([
    fetch("classifier.onnx.json").then((answer) => answer.json()),
    ort.InferenceSession.create("yunet.onnx", { logSeverityLevel: 3 }), // it warns of other sizes
    ort.InferenceSession.create("classifier.onnx"),
  ]);
  return { ort, yunet, network, labels: about.label_set, size: about.face_size[0], unsure: about.unsure_below };
}

const loading = load();
/** Return what the page computes with, as soon as it is there. */
export const tools = () => loading;

/** Return the faces of a picture, as they were found, with their probabilities. */
async function nameFaces({ ort, network, size }, picture, faces) {
  const crops = faces.map((face) => cutFace(picture, face, size));
  const answers = await classify(ort, network, crops, size);
  return faces.map((face, number) => ({ ...face, probabilities: answers[number] }));
}

/** Return the most probable label, its probability and whether that is too little. */
function answerOf(face) {
  const probability = Math.max(...face.probabilities);
  const label = loaded.labels[face.probabilities.indexOf(probability)];
  return { label, probability, unsure: probability < loaded.unsure };
}

const inWords = ({ label, probability, unsure }) => `${label} ${percent(probability)}${unsure ? " unsure" : ""}`;
const percent = (share) => `${Math.round(100 * share)}%`;

function draw(source, width, height, mirrored = false) {
  const canvas = at("picture");
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.setTransform(mirrored ? -1 : 1, 0, 0, 1, mirrored ? width : 0, 0);
  pen.drawImage(source, 0, 0, width, height);
  pen.setTransform(1, 0, 0, 1, 0, 0);
  return pen;
}

const pixels = (pen) => pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height);

/** Return the pen of a smaller copy: for a camera the browser's own way is near enough. */
function shrunk(canvas, side) {
  const scale = Math.min(1, side / Math.max(canvas.width, canvas.height));
  [spare.width, spare.height] = [Math.round(canvas.width * scale), Math.round(canvas.height * scale)];
  const pen = spare.getContext("2d", { willReadFrequently: true });
  pen.imageSmoothingQuality = "medium";
  pen.drawImage(canvas, 0, 0, spare.width, spare.height);
  return pen;
}

function mark(pen, faces) {
  const unit = Math.max(pen.canvas.width, pen.canvas.height) / 640;
  pen.lineWidth = 2 * unit;
  faces.forEach((face, number) => {
    const font = Math.max(9 * unit, Math.min(16 * unit, face.width / 4));
    pen.font = `${font}px system-ui, sans-serif`;
    const text = `${number + 1} ${inWords(answerOf(face))}`;
    const wide = pen.measureText(text).width + font / 2;
    const left = Math.max(0, Math.min(face.x, pen.canvas.width - wide));
    const top = Math.max(0, face.y - 1.4 * font);
    pen.strokeStyle = pen.fillStyle = "#2563eb";
    pen.strokeRect(face.x, face.y, face.width, face.height);
    pen.fillRect(left, top, wide, 1.4 * font);
    pen.fillStyle = "white";
    pen.fillText(text, left + font / 4, top + 1.05 * font);
  });
}

/** Show a heading and a bar for each label; what is there already is changed, so that bars glide. */
function list(faces) {
  const sections = at("faces").children;
  while (sections.length > faces.length) sections[sections.length - 1].remove();
  while (sections.length < faces.length) at("faces").append(newSection());
  faces.forEach((face, number) => {
    sections[number].querySelector("h2").textContent = `Face ${number + 1}: ${inWords(answerOf(face))}`;
    sections[number].querySelectorAll("tr").forEach((row, index) => {
      row.querySelector(".bar").style.width = `${100 * face.probabilities[index]}%`;
      row.cells[2].textContent = percent(face.probabilities[index]);
    });
  });
}

function newSection() {
  const section = document.createElement("section");
  const rows = section.appendChild(document.createElement("h2")).parentNode.appendChild(document.createElement("table"));
  for (const label of loaded.labels) {
    const row = rows.insertRow();
    row.insertCell().textContent = label;
    row.insertCell().appendChild(document.createElement("div")).className = "bar";
    row.insertCell();
  }
  return section;
}

async function lookAtPhoto(file) {
  if (!file || !loaded) return;
  stopCamera();
  say("Looking …");
  let image;
  try {
    // As it is stored: the library reads no colour profiles either.
    image = await createImageBitmap(file, { colorSpaceConversion: "none" });
  } catch {
    clear();
    say(`${file.name} cannot be read: this browser knows no such picture.`);
    return;
  }
  const scale = Math.min(1, LARGEST / Math.max(image.width, image.height));
  const [width, height] = [Math.round(image.width * scale), Math.round(image.height * scale)];
  const pen = draw(image, width, height);
  image.close();
  const begin = performance.now();
  const picture = pixels(pen);
  const found = await findFaces(loaded.ort, loaded.yunet, picture);
  const faces = await nameFaces(loaded, picture, found);
  tell(faces, performance.now() - begin);
  mark(pen, faces);
  list(faces);
  table = faces.map((face, number) => {
    const { label, unsure } = answerOf(face);
    const box = [face.x, face.y, face.width, face.height].map((length) => Math.round(length / scale));
    return [number + 1, label, unsure, ...box, face.score, ...face.probabilities];
  });
  at("save").hidden = !faces.length;
}

function tell(faces, spent) {
  const count = ["No face found", "1 face"][faces.length] ?? `${faces.length} faces`;
  say(`${count}, ${Math.round(spent)} ms.`);
}

function clear() {
  at("picture").width = 0;
  at("faces").replaceChildren();
  at("save").hidden = true;
}

function saveTable() {
  const names = ["face", "emotion", "unsure", "x", "y", "width", "height", "detection_score", ...loaded.labels];
  const text = [names, ...table].map((row) => row.join(",")).join("\n");
  const link = document.createElement("a");
  link.href = `data:text/csv;charset=utf-8,${encodeURIComponent(`${text}\n`)}`;
  link.download = "faces.csv";
  link.click();
}

async function startCamera() {
  at("start").disabled = true;
  try {
    if (!navigator.mediaDevices) throw new Error("browsers give it to https and localhost pages alone");
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480, facingMode: "user" } });
    const video = document.createElement("video");
    [video.srcObject, video.playsInline, video.muted] = [stream, true, true];
    await video.play();
    at("stop").disabled = false;
    clear();
    await watch(video, stream);
  } catch (error) {
    stopCamera();
    say(`The camera cannot be used: ${error.message}.`);
  }
}

async function watch(video, own) {
  let [faces, spent] = [[], 0];
  for (let frame = 0; stream === own; frame++) {
    const begin = performance.now();
    const pen = draw(video, video.videoWidth, video.videoHeight, true);
    const picture = pixels(pen);
    // From one picture to the next a head moves by a few hundredths of its width.
    if (frame % 2 === 0 || !faces.length) {
      const small = pixels(shrunk(pen.canvas, CAMERA_SIDE));
      faces = await findFaces(loaded.ort, loaded.yunet, picture, small);
    }
    faces = await nameFaces(loaded, picture, faces);
    if (stream !== own) return;
    const now = performance.now() - begin;
    tell(faces, spent ? (spent + now) / 2 : now);
    spent = now;
    mark(pen, faces);
    list(faces);
    await new Promise(requestAnimationFrame);
  }
}

function stopCamera() {
  stream?.getTracks().forEach((track) => track.stop());
  stream = null;
  [at("start").disabled, at("stop").disabled] = [!loaded, true];
}

function choose(tab) {
  stopCamera();
  clear();
  if (loaded) say("");
  for (const name of ["photo", "camera"]) {
    at(name).hidden = name !== tab;
    at(`${name}-tab`).setAttribute("aria-pressed", name === tab);
  }
}

at("photo-tab").onclick = () => choose("photo");
at("camera-tab").onclick = () => choose("camera");
at("file").onchange = (event) => lookAtPhoto(event.target.files[0]);
at("start").onclick = startCamera;
at("stop").onclick = stopCamera;
at("save").onclick = saveTable;
at("drop").ondragover = (event) => { event.preventDefault(); at("drop").classList.add("over"); };
at("drop").ondragleave = () => at("drop").classList.remove("over");
at("drop").ondrop = (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  lookAtPhoto(event.dataTransfer.files[0]);
};

loading.then((all) => {
  loaded = all;
  at("file").disabled = at("start").disabled = false;
  say("Ready.");
  // From now on it opens without a network; browsers refuse this where they refuse the camera.
  navigator.serviceWorker?.register("offline.js");
}, (error) => say(error.message));
