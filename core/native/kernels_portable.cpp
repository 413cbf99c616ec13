// The sliced engine's loops for any processor.

#include "kernels_body.hpp"

namespace skiagraph {
namespace {

struct Portable {
    using Group = Columns;

    static void pack(const Columns& columns, Group& group) { group = columns; }

    static void stretch(const Group& group, const std::int16_t* row, std::int64_t pitch, std::int64_t height,
                        std::int64_t, float* out) {
        for (row += group.base; height-- > 0; row += pitch, out += kTile)
            for (int c = 0; c < kGroup; ++c)
                out[c] = static_cast<float>(group.near[c] * row[group.left[c]] + group.far[c] * row[group.left[c] + 1]);
    }

    template <int Layers>
    static void add(const float* scratch, const Stretched<Layers>* slices, int count, float* top,
                    const Picture& picture) {
        for (int r = 0; r < kBand; ++r, top += picture.pitch())
            for (int n = 0; n < count; ++n) {
                const Rows<Layers>& rows = *slices[n].rows;
                const float *above = scratch + (slices[n].offset + rows.at[r] * kTile), *below = above + kTile;
                for (int layer = 0; layer < Layers; ++layer) {
                    float* sums = top + layer * picture.layer();
                    const float near = rows.near[layer][r], far = rows.far[layer][r];
                    for (int c = 0; c < kTile; ++c) sums[c] += near * above[c] + far * below[c];
                }
            }
    }

    static void cubic(const float* row, std::int32_t pitch, float w0, float w1, float w2, float w3, float* out) {
        for (int n = 0; n < 4; ++n)
            out[n] = w0 * row[n] + w1 * row[n + pitch] + w2 * row[n + 2 * pitch] + w3 * row[n + 3 * pitch];
    }
};

}  // namespace

const Kernels kPortableKernels = kernels<Portable>();

}  // namespace skiagraph
