// The page: a model that is chosen, images that are dropped.

import { classify, openModel } from "./classify.mjs";

const element = (id) => document.getElementById(id);
let model = null;

element("model").addEventListener("change", (event) =>
  report(async () => {
    const [file] = event.target.files;
    model = null;
    element("classes").replaceChildren();
    model = await openModel(await file.arrayBuffer());
    return `${model.metadata["pqv.model"]} is ready: drop an image.`;
  })
);

const drop = element("drop");
document.addEventListener("dragover", (event) => {
  event.preventDefault(); // else the browser opens the image
  drop.classList.toggle("over", drop.contains(event.target));
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  const [file] = event.dataTransfer.files;
  report(() => show(file));
});

async function show(file) {
  element("classes").replaceChildren();
  if (model === null) throw new Error("choose a model first");
  if (file === undefined) throw new Error("that is no file");
  const start = performance.now();
  const found = await classify(model, file);
  const picture = element("picture");
  URL.revokeObjectURL(picture.src);
  picture.src = URL.createObjectURL(file);
  picture.hidden = false;
  for (const { label, share } of found) {
    const row = element("classes").insertRow();
    row.insertCell().textContent = label;
    row.insertCell().textContent = `${(100 * share).toFixed(1)}%`;
  }
  return `${file.name}: ${Math.round(performance.now() - start)} ms`;
}

async function report(work) {
  const message = element("message");
  message.textContent = "Working ...";
  try {
    message.textContent = await work();
  } catch (error) {
    message.textContent = `Error: ${error.message ?? error}`;
  }
}
