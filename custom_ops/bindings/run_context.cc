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

OrtStatus* RunContext::Input(const char* name, TensorView* view) const {
  const InputDeclaration* declared = FindInput(op_, name);
  if (declared == nullptr) return Error(id_, "the op declares no input %s", name);
  const OrtValue* value = nullptr;
  PQV_RETURN_IF_ERROR(id_.api->KernelContext_GetInput(
      context_, static_cast<size_t>(declared - op_.inputs), &value));
  PQV_RETURN_IF_ERROR(ReadTensor(id_, *declared, value, view));
  if (view->shape.rank < declared->rank) {
    return Error(id_, "input %s has shape %s, expected at least %u dimensions", name,
                 ShapeText(view->shape).text, declared->rank);
  }
  return nullptr;
}

OrtStatus* RunContext::InputOfShape(const char* name, const Shape& expected, TensorView* view,
                                    size_t* rows) const {
  PQV_RETURN_IF_ERROR(Input(name, view));
  const Shape& shape = view->shape;
  bool fits = shape.rank == expected.rank && shape.Last() == expected.Last();
  size_t leading = 0;
  while (leading + 1 < shape.rank && shape.dims[leading] == 1) ++leading;
  for (size_t i = leading; fits && i < shape.rank; ++i) fits = shape.dims[i] == expected.dims[i];
  if (!fits) {
    return Error(id_, "input %s has shape %s, expected %s with 1 in leading dimensions only", name,
                 ShapeText(shape).text, ShapeText(expected).text);
  }
  return Count(*view, 0, shape.rank - 1, rows);
}

OrtStatus* RunContext::ExpectDimension(const TensorView& input, size_t axis,
                                       size_t expected) const {
  if (static_cast<size_t>(input.shape.dims[axis]) == expected) return nullptr;
  return Error(id_, "input %s has shape %s, expected %zu in dimension %zu", input.name,
               ShapeText(input.shape).text, expected, axis);
}

OrtStatus* RunContext::ExpectMultiple(const TensorView& input, size_t axis, size_t unit) const {
  if (static_cast<size_t>(input.shape.dims[axis]) % unit == 0) return nullptr;
  return Error(id_, "input %s has shape %s, expected a multiple of %zu in dimension %zu",
               input.name, ShapeText(input.shape).text, unit, axis);
}

OrtStatus* RunContext::SameBatches(const TensorView& a, const TensorView& b,
                                   size_t* batches) const {
  bool same = a.shape.rank == b.shape.rank;
  for (size_t i = 0; same && i + 2 < a.shape.rank; ++i) same = a.shape.dims[i] == b.shape.dims[i];
  if (!same) {
    return Error(id_, "input %s has shape %s, expected the leading dimensions of input %s, %s",
                 b.name, ShapeText(b.shape).text, a.name, ShapeText(a.shape).text);
  }
  return Count(a, 0, a.shape.rank - 2, batches);
}

OrtStatus* RunContext::Count(const TensorView& input, size_t begin, size_t end,
                             size_t* count) const {
  if (Product(input.shape, begin, end, count)) return nullptr;
  return Error(id_, "input %s has shape %s, expected fewer elements", input.name,
               ShapeText(input.shape).text);
}

OrtStatus* RunContext::Allocate(const Shape& shape, void** data) const {
  OrtValue* value = nullptr;
  PQV_RETURN_IF_ERROR(
      id_.api->KernelContext_GetOutput(context_, 0, shape.dims, shape.rank, &value));
  if (value == nullptr) return OutOfMemory(id_, "the output");
  return id_.api->GetTensorMutableData(value, data);
}

}  // namespace pqv
