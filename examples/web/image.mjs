// An image file to a model's input, as the model's metadata say (docs/metadata.md).
//
// A model that was exported with `--input image` takes the image as it is. For the others the browser
// resizes it, which is not to the bit what Python does; the rest is.

// Gives { type, data, dims } for `run`.
export async function toInput(file, metadata) {
  const made = (name) => JSON.parse(metadata[`pqv.${name}`]);
  const [channels, height, width] = made("input_size");
  const image = await createImageBitmap(file, { colorSpaceConversion: "none" }).catch(() => {
    throw new Error(`${file.name} is no image that the browser can read`);
  });
  if (metadata["pqv.input"] === "image") {
    const data = pixels(image, image.width, image.height, image, channels);
    return { type: "uint8", data, dims: [image.height, image.width, channels] };
  }
  const size = resized(image, { height, width }, made("crop_pct"), metadata["pqv.crop_mode"]);
  const data = pixels(image, width, height, size, channels);
  if (metadata["pqv.layout"] === "nhwc") {
    return { type: "uint8", data, dims: [1, height, width, channels] };
  }
  const planes = toPlanes(data, channels);
  const dims = [1, channels, height, width];
  if (metadata["pqv.input"] === "uint8") return { type: "uint8", data: planes, dims };
  return { type: "float32", data: normalised(planes, made("mean"), made("std")), dims };
}

// What an image is resized to before its centre is cropped, as timm rounds it.
function resized(image, { height, width }, cropPct, cropMode) {
  const [wide, high] = [Math.floor(width / cropPct), Math.floor(height / cropPct)];
  if (cropMode === "squash") return { width: wide, height: high };
  if (wide === high) {
    const shorter = Math.min(image.width, image.height);
    return {
      width: Math.floor((wide * image.width) / shorter),
      height: Math.floor((high * image.height) / shorter),
    };
  }
  const ratio = Math.min(image.width / wide, image.height / high);
  return { width: Math.round(image.width / ratio), height: Math.round(image.height / ratio) };
}

// The centre of an image that is resized to `size`: bytes [height, width, channels].
function pixels(image, width, height, size, channels) {
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const [left, top] = [Math.round((width - size.width) / 2), Math.round((height - size.height) / 2)];
  context.drawImage(image, left, top, size.width, size.height);
  const rgba = context.getImageData(0, 0, width, height).data;
  const found = new Uint8Array(width * height * channels);
  for (let i = 0, j = 0; i < rgba.length; i += 4) {
    const [red, green, blue] = [rgba[i], rgba[i + 1], rgba[i + 2]];
    if (channels === 1) {
      found[j++] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // ITU-R 601
    } else {
      found[j++] = red;
      found[j++] = green;
      found[j++] = blue;
    }
  }
  return found;
}

// [height, width, channels] to [channels, height, width].
function toPlanes(data, channels) {
  const count = data.length / channels;
  return data.map((_, i) => data[(i % count) * channels + Math.floor(i / count)]);
}

// (pixel / 255 - mean) / std in steps of float32, as the model was trained with.
function normalised(planes, mean, std) {
  const { fround } = Math;
  const count = planes.length / mean.length;
  return Float32Array.from(planes, (pixel, i) => {
    const channel = Math.floor(i / count);
    const centred = fround(fround(pixel / 255) - fround(mean[channel]));
    return centred / fround(std[channel]);
  });
}
