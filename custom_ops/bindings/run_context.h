// Inputs, output and threads of one run of a node.

#ifndef PQV_BINDINGS_RUN_CONTEXT_H_
#define PQV_BINDINGS_RUN_CONTEXT_H_

#include "bindings/tensor.h"
#include "kernels/common/sizes.h"

namespace pqv {

// How finely work is cut. Costs are in units of about one multiply-accumulate.
constexpr size_t kMinTaskCost = size_t{1} << 20;
constexpr size_t kMaxTasks = 64;

// The number of tasks for `units` indivisible pieces of work of `unit_cost` each.
size_t TaskCount(size_t units, size_t unit_cost);

// The first unit of task `task` of `tasks`, as even as can be. TaskBegin(units, tasks, tasks) is
// units.
static inline size_t TaskBegin(size_t units, size_t tasks, size_t task) {
  return units / tasks * task + (task < units % tasks ? task : units % tasks);
}

class RunContext {
 public:
  RunContext(const NodeId& id, const OpDeclaration& op, OrtKernelContext* context)
      : id_(id), op_(op), context_(context) {}

  const NodeId& id() const { return id_; }

  // An input, which must have at least the declared dimensions.
  OrtStatus* Input(const char* name, TensorView* view) const;

  // An input, which must have the shape `expected`, or 1 in place of leading dimensions of it. The
  // product of all but the last goes to `rows`.
  OrtStatus* InputOfShape(const char* name, const Shape& expected, TensorView* view,
                          size_t* rows) const;

  // The memory of the output.
  template <typename T>
  OrtStatus* Output(const Shape& shape, T** data) const {
    void* memory = nullptr;
    PQV_RETURN_IF_ERROR(Allocate(shape, &memory));
    *data = static_cast<T*>(memory);
    return nullptr;
  }

  // Dimension `axis` of an input against what it must be.
  OrtStatus* ExpectDimension(const TensorView& input, size_t axis, size_t expected) const;

  // The same against what must divide it.
  OrtStatus* ExpectMultiple(const TensorView& input, size_t axis, size_t unit) const;

  // Inputs must agree in rank and in all but the last two dimensions. The product of those goes to
  // `batches`.
  OrtStatus* SameBatches(const TensorView& a, const TensorView& b, size_t* batches) const;

  // Product of dims[begin .. end) of an input, or an error if it does not fit.
  OrtStatus* Count(const TensorView& input, size_t begin, size_t end, size_t* count) const;

  // Calls function(task) for every task < tasks, on onnxruntime's threads.
  template <typename Function>
  OrtStatus* ParallelFor(size_t tasks, const Function& function) const {
    if (tasks <= 1) {
      if (tasks == 1) function(size_t{0});
      return nullptr;
    }
    const auto trampoline = [](void* data, size_t task) {
      (*static_cast<const Function*>(data))(task);
    };
    return id_.api->KernelContext_ParallelFor(context_, trampoline, tasks, /*num_batch=*/0,
                                              const_cast<Function*>(&function));
  }

  // Calls function(begin, end) for ranges that cover [0, units) once.
  template <typename Function>
  OrtStatus* ParallelRanges(size_t units, size_t unit_cost, const Function& function) const {
    const size_t tasks = TaskCount(units, unit_cost);
    return ParallelFor(tasks, [&](size_t task) {
      function(TaskBegin(units, tasks, task), TaskBegin(units, tasks, task + 1));
    });
  }

  // Elements by themselves: function(first, number of them).
  template <typename Function>
  OrtStatus* ParallelElements(size_t count, size_t element_cost, const Function& function) const {
    constexpr size_t kBlock = 4096;  // elements that a task takes at least
    const size_t blocks = CeilDivide(count, kBlock);
    return ParallelRanges(blocks, kBlock * element_cost, [&](size_t begin, size_t end) {
      const size_t last = end == blocks ? count : end * kBlock;
      function(begin * kBlock, last - begin * kBlock);
    });
  }

  // Matrices of `rows` rows, each with something to prepare: all of one together, or halves where
  // there are few. function(batch, first row, rows).
  template <typename Function>
  OrtStatus* ParallelMatrices(size_t batches, size_t rows, size_t row_cost,
                              const Function& function) const {
    constexpr size_t kFew = 8;
    constexpr size_t kMinHalf = 64;
    const size_t pieces = batches < kFew && rows >= 2 * kMinHalf ? 2 : 1;
    const size_t piece_cost = CeilDivide(rows, pieces) * row_cost;
    return ParallelRanges(batches * pieces, piece_cost, [&](size_t begin, size_t end) {
      for (size_t unit = begin; unit < end; ++unit) {
        const size_t first = TaskBegin(rows, pieces, unit % pieces);
        const size_t last = TaskBegin(rows, pieces, unit % pieces + 1);
        function(unit / pieces, first, last - first);
      }
    });
  }

  // The rows of all batches as ranges: function(batch, first row, rows).
  template <typename Function>
  OrtStatus* ParallelRows(size_t batches, size_t rows, size_t row_cost,
                          const Function& function) const {
    return ParallelRanges(batches * rows, row_cost, [&](size_t begin, size_t end) {
      while (begin < end) {
        const size_t first = begin % rows;
        const size_t count = end - begin < rows - first ? end - begin : rows - first;
        function(begin / rows, first, count);
        begin += count;
      }
    });
  }

 private:
  OrtStatus* Allocate(const Shape& shape, void** data) const;

  const NodeId& id_;
  const OpDeclaration& op_;
  OrtKernelContext* context_;
};

}  // namespace pqv

#endif  // PQV_BINDINGS_RUN_CONTEXT_H_
