#include "kernels/gelu/gelu.h"

#include "bindings/gelu_tables.h"
#include "bindings/ops.h"

namespace pqv {
namespace {

constexpr size_t kElementCost = 16;

class GeluNode {
 public:
  OrtStatus* Create(const NodeReader& reader, const Variant& variant) {
    run_ = variant.gelu;
    return ReadGeluTables(reader, &entries_, &groups_);
  }

  OrtStatus* Run(const RunContext& context) const {
    TensorView x;
    PQV_RETURN_IF_ERROR(context.Input("X", &x));
    const size_t last = x.shape.rank - 1;
    PQV_RETURN_IF_ERROR(context.ExpectMultiple(x, last, groups_));
    const size_t channels = static_cast<size_t>(x.shape.dims[last]);
    size_t rows = 0;
    PQV_RETURN_IF_ERROR(context.Count(x, 0, last, &rows));
    int8_t* y = nullptr;
    PQV_RETURN_IF_ERROR(context.Output(x.shape, &y));
    if (rows == 0 || channels == 0) return nullptr;

    const int8_t* x_data = static_cast<const int8_t*>(x.data);
    const GeluTables tables = {entries_, channels / groups_};
    return context.ParallelRanges(rows, kElementCost * channels, [&](size_t begin, size_t end) {
      const size_t first = begin * channels;
      RunGeluTables(run_, tables, 0, {end - begin, channels, channels, x_data + first, y + first});
    });
  }

 private:
  GeluKernel run_ = nullptr;
  const int8_t* entries_ = nullptr;
  size_t groups_ = 0;
};

}  // namespace

PQV_DEFINE_OP(IntGELU, GeluNode);

}  // namespace pqv
