// The metadata of an .onnx file, which onnxruntime-web does not hand out: field 14 of the file's
// message (onnx.ModelProto), whose fields 1 and 2 are a key and its value.

const METADATA = 14;

// Bytes of an .onnx file to an object of strings.
export function readMetadata(bytes) {
  const entries = {};
  try {
    for (const [field, content] of fields(bytes)) {
      if (field !== METADATA) continue;
      const [key, value] = Array.from(fields(content), ([, text]) => new TextDecoder().decode(text));
      entries[key] = value ?? "";
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new Error("the file is no .onnx model");
  }
  return entries;
}

// The fields of a message in protobuf's encoding that have a length: [number, bytes].
function* fields(bytes) {
  let place = 0;
  const next = () => {
    if (place >= bytes.length) throw new RangeError("the message ends early");
    return bytes[place++];
  };
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = next();
      value += (byte & 127) * factor; // no shift: numbers may have more than 32 bits
      if (byte < 128) return value;
    }
  };
  while (place < bytes.length) {
    const tag = number();
    const [field, type] = [Math.floor(tag / 8), tag % 8];
    if (type === 0) {
      number();
    } else if (type === 2) {
      const end = number() + place;
      if (end > bytes.length) throw new RangeError("the message ends early");
      yield [field, bytes.subarray(place, end)];
      place = end;
    } else if (type === 1 || type === 5) {
      place += type === 1 ? 8 : 4;
    } else {
      throw new RangeError(`no wire type ${type}`);
    }
  }
}
