#include "bindings/run_context.h"

#include <inttypes.h>

namespace pqv {

size_t TaskCount(size_t units, size_t unit_cost) {
  size_t cost = 0;
  if (__builtin_mul_overflow(units, unit_cost, &cost)) cost = SIZE_MAX;
  size_t tasks = cost / kMinTaskCost;
  tasks = tasks < kMaxTasks ? tasks : kMaxTasks;
  tasks = tasks < units ? tasks : units;
  return tasks > 0 || units == 0 ? tasks : 1;
}

OrtStatus* RunContext::Input(size_t index, size_t min_rank, TensorView* view) const {
  const OrtValue* value = nullptr;
  PQV_RETURN_IF_ERROR(id_.api->KernelContext_GetInput(context_, index, &value));
  PQV_RETURN_IF_ERROR(ReadTensor(id_, inputs_[index], value, view));
  if (view->shape.rank < min_rank) {
    return Error(id_, "input %s has shape %s, expected at least %zu dimensions", InputName(index),
                 ShapeText(view->shape).text, min_rank);
  }
  return nullptr;
}

OrtStatus* RunContext::InputOfShape(size_t index, const Shape& expected, TensorView* view,
                                    size_t* rows) const {
  PQV_RETURN_IF_ERROR(Input(index, 1, view));
  const Shape& shape = view->shape;
  bool fits = shape.rank == expected.rank && shape.Last() == expected.Last();
  size_t leading = 0;
  while (leading + 1 < shape.rank && shape.dims[leading] == 1) ++leading;
  for (size_t i = leading; fits && i < shape.rank; ++i) fits = shape.dims[i] == expected.dims[i];
  if (!fits) {
    return Error(id_, "input %s has shape %s, expected %s with 1 in leading dimensions only",
                 InputName(index), ShapeText(shape).text, ShapeText(expected).text);
  }
  return Count(index, shape, 0, shape.rank - 1, rows);
}

OrtStatus* RunContext::ExpectDimension(size_t index, const Shape& shape, size_t axis,
                                       size_t expected) const {
  if (static_cast<size_t>(shape.dims[axis]) == expected) return nullptr;
  return Error(id_, "input %s has shape %s, expected %zu in dimension %zu", InputName(index),
               ShapeText(shape).text, expected, axis);
}

OrtStatus* RunContext::SameBatches(size_t a, const Shape& a_shape, size_t b, const Shape& b_shape,
                                   size_t* batches) const {
  bool same = a_shape.rank == b_shape.rank;
  for (size_t i = 0; same && i + 2 < a_shape.rank; ++i) same = a_shape.dims[i] == b_shape.dims[i];
  if (!same) {
    return Error(id_, "input %s has shape %s, expected the leading dimensions of input %s, %s",
                 InputName(b), ShapeText(b_shape).text, InputName(a), ShapeText(a_shape).text);
  }
  return Count(a, a_shape, 0, a_shape.rank - 2, batches);
}

OrtStatus* RunContext::Count(size_t index, const Shape& shape, size_t begin, size_t end,
                             size_t* count) const {
  if (Product(shape, begin, end, count)) return nullptr;
  return Error(id_, "input %s has shape %s, expected fewer elements", InputName(index),
               ShapeText(shape).text);
}

OrtStatus* RunContext::Allocate(const Shape& shape, void** data) const {
  OrtValue* value = nullptr;
  PQV_RETURN_IF_ERROR(
      id_.api->KernelContext_GetOutput(context_, 0, shape.dims, shape.rank, &value));
  if (value == nullptr) return OutOfMemory(id_, "the output");
  return id_.api->GetTensorMutableData(value, data);
}

}  // namespace pqv
