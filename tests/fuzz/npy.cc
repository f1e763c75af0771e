// A byte for the type that the model takes, then a .npy file.

#include "runner/npy.h"

#include "fuzz/bytes.h"
#include "fuzz/fail.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr ONNXTensorElementDataType kTypes[] = {
      ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8,
      ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32};
  pqv::Bytes bytes(data, size);
  pqv::Port port;
  port.type = kTypes[bytes.Byte() % 4];
  for (int64_t dim : {1, 3, 8, 6}) port.shape.Append(dim);
  pqv::Buffer<uint8_t> file;
  file.Append(bytes.data(), bytes.size());
  try {
    pqv::StripNpyHeader("x.npy", port, &file);
  } catch (const pqv::Failed&) {
  }
  return 0;
}
