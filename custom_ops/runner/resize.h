// Resizing images to the bits of Pillow.

#ifndef PQV_RUNNER_RESIZE_H_
#define PQV_RUNNER_RESIZE_H_

#include "runner/image.h"

namespace pqv {

enum class Filter { kBilinear, kBicubic, kLanczos };

// Resamples with a filter that widens where the image shrinks, first across, then down, rounding to
// bytes in between: Pillow's Image.resize. As Pillow 13 does it, first down where more than twice
// as many rows as columns go.
Image Resize(const Image& image, size_t width, size_t height, Filter filter);

}  // namespace pqv

#endif  // PQV_RUNNER_RESIZE_H_
