"use strict";

const results = document.getElementById("results");
const tabs = [...document.querySelectorAll("[role=tab]")];
const largestUpload = Number(document.body.dataset.largestUpload);
const queries = { audio: null, video: null }; // The file or recording of each form.

function show(text, kind) {
  const box = document.createElement("div");
  box.className = `vatt-message ${kind}`;
  box.setAttribute("role", kind === "error" ? "alert" : "status");
  box.textContent = text;
  results.replaceChildren(box);
}

function select(tab) {
  for (const other of tabs) {
    const selected = other === tab;
    other.setAttribute("aria-selected", String(selected));
    other.tabIndex = selected ? 0 : -1;
    document.getElementById(other.getAttribute("aria-controls")).hidden = !selected;
  }
}

for (const [number, tab] of tabs.entries()) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(number + step + tabs.length) % tabs.length];
    select(next);
    next.focus();
  });
}

async function search(form) {
  const body = form.id === "text" ? form.elements.query.value : queries[form.id] ?? "";
  if (body.size > largestUpload) {
    show(`${body.name} is larger than ${largestUpload / 1e6} MB.`, "error");
    return;
  }
  const options = new URLSearchParams({
    modality: form.elements.modality?.value ?? "video",
    by: form.elements.by?.value ?? "one",
    count: form.elements.count.value,
    name: body.name ?? "",
  });
  show("Searching …", "progress");
  try {
    const answer = await fetch(`search/${form.id}?${options}`, { method: "POST", body });
    const isHtml = answer.headers.get("Content-Type")?.startsWith("text/html");
    if (isHtml) results.innerHTML = await answer.text(); // Escaped by the server.
    else show(await answer.text(), "error");
  } catch {
    show("The server does not answer. Is keras-vatt still running?", "error");
  }
}

for (const form of document.forms) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector(".primary");
    if (button.disabled) return;
    button.disabled = true;
    await search(form);
    button.disabled = false;
  });
}

function choose(form, file) {
  queries[form.id] = file;
  form.querySelector(".chosen").textContent = file.name;
  const preview = form.querySelector(".preview");
  URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.classList.add("controls");
  preview.hidden = false;
}

for (const input of document.querySelectorAll("input[type=file]")) {
  input.addEventListener("change", () => {
    if (input.files.length) choose(input.form, input.files[0]);
  });
}

// The microphone.

const recordButton = document.querySelector(".record");
let recorder = null;

async function startRecording() {
  const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
  const parts = [];
  recorder = new MediaRecorder(stream);
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => {
    for (const track of stream.getTracks()) track.stop();
    const type = recorder.mimeType.split(";")[0];
    const name = `recording.${type.split("/")[1]}`;
    choose(recordButton.form, new File(parts, name, { type }));
    recorder = null;
    recordButton.textContent = "Record again";
    recordButton.classList.remove("on");
  });
  recorder.start();
  recordButton.textContent = "Stop";
  recordButton.classList.add("on");
}

if (navigator.mediaDevices && window.MediaRecorder) {
  recordButton.hidden = false;
  recordButton.addEventListener("click", () => {
    if (recorder) recorder.stop();
    else startRecording().catch(() => show("There is no microphone to use.", "error"));
  });
}

// Controls hide the image: they come with the pointer, the touch or the key.
for (const kind of ["pointerover", "focusin", "click"]) {
  results.addEventListener(kind, (event) => {
    if (event.target.matches("video")) event.target.controls = true;
  });
}

// One player is heard at a time. The event doesn't bubble, but it can be captured.
results.addEventListener("play", (event) => {
  for (const player of results.querySelectorAll("video, audio")) {
    if (player !== event.target) player.pause();
  }
}, true);
