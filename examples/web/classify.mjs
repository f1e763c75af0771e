// An exported model in onnxruntime-web. There is no op library here: onnxruntime runs the
// definitions that the file brings along, with the same bits.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
import { toInput } from "./image.mjs";
import { readMetadata } from "./metadata.mjs";

ort.env.wasm.numThreads = 1; // more take headers that a plain file server does not send

// An .onnx file, as an ArrayBuffer, to a model.
export async function openModel(buffer) {
  const bytes = new Uint8Array(buffer);
  const metadata = readMetadata(bytes);
  if (metadata["pqv.task"] !== "logits") {
    throw new Error("the file is no classifier that pqv exported");
  }
  return { metadata, session: await ort.InferenceSession.create(bytes) };
}

// Runs a model on { type, data, dims }; gives its logits.
export async function run({ session }, { type, data, dims }) {
  const input = new ort.Tensor(type, data, dims);
  const outputs = await session.run({ [session.inputNames[0]]: input });
  return outputs.logits.data;
}

// The likeliest classes of an image file: [{ label, share }], at most `count`.
export async function classify(model, file, count = 5) {
  const logits = await run(model, await toInput(file, model.metadata));
  const labels = model.metadata["pqv.labels"]?.split("\n");
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights
    .map((weight, index) => ({ label: labels?.[index] ?? `class ${index}`, share: weight / total }))
    .sort((a, b) => b.share - a.share)
    .slice(0, count);
}
