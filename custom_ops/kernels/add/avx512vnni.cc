#include "kernels/add/add.h"
#include "kernels/common/arithmetic_avx512.h"

namespace pqv {
namespace avx512vnni {
namespace {

using namespace avx512;

constexpr size_t kVectors = 4;  // of int32 channels, as tile order counts them
constexpr size_t kStep = kLanes32 * kVectors;

// Channels c .. c + 63 of all rows. `lanes` are those that exist.
PQV_INLINE void AddChannels(const IntAdd& op, const AddRows& rows, size_t c, __mmask64 lanes,
                            const Limits& limits) {
  const size_t channels = op.channels;  // a copy, which stores of int8 cannot change
  __m512i a_multiplier[kVectors / 2];
  __m512i b_multiplier[kVectors / 2];
  LoadTileOrder16<kVectors>(op.a_multiplier + c, a_multiplier);
  LoadTileOrder16<kVectors>(op.b_multiplier + c, b_multiplier);
  size_t b_row = rows.begin % rows.b_rows;
  for (size_t row = rows.begin; row < rows.end; ++row) {
    __m512i a[kVectors / 2];
    __m512i b[kVectors / 2];
    __m512i u[kVectors / 2];
    Widen256<kVectors>(_mm512_maskz_loadu_epi8(lanes, rows.a + row * channels + c), a);
    Widen256<kVectors>(_mm512_maskz_loadu_epi8(lanes, rows.b + b_row * channels + c), b);
    for (size_t i = 0; i < kVectors / 2; ++i) {
      u[i] = _mm512_adds_epi16(_mm512_mulhrs_epi16(a[i], a_multiplier[i]),
                               _mm512_mulhrs_epi16(b[i], b_multiplier[i]));
    }
    _mm512_mask_storeu_epi8(rows.y + row * channels + c, lanes, Narrow16<kVectors>(u, limits));
    if (++b_row == rows.b_rows) b_row = 0;
  }
}

}  // namespace

void RunAdd(const IntAdd& op, const AddRows& rows) {
  constexpr size_t kBlockBytes = 16 << 10;  // of each tensor, which then stay in L1
  const Limits limits = MakeLimits(op.y_bits);
  const size_t block_rows = op.channels < kBlockBytes ? kBlockBytes / op.channels : 1;
  for (size_t row = rows.begin; row < rows.end; row += block_rows) {
    AddRows block = rows;
    block.begin = row;
    block.end = Min(rows.end, row + block_rows);
    for (size_t c = 0; c < op.channels; c += kStep) {
      AddChannels(op, block, c, FirstLanes(op.channels - c), limits);
    }
  }
}

}  // namespace avx512vnni
}  // namespace pqv
