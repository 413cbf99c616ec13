// What the vector instruction sets have in common: rows piled up in registers, and the cubic on four samples at once.

#pragma once

#include <immintrin.h>

#include "kernels_body.hpp"

namespace skiagraph {
namespace {

// Adds R rows of C vectors to each layer from all stretched slices, without leaving the registers in between.
template <class Vector, int R, int C, int Layers>
void add_block(const float* scratch, const Stretched<Layers>* slices, int count, int first, float* top,
               const Picture& picture) {
    constexpr int lanes = sizeof(Vector) / sizeof(float);
    Vector sum[Layers][R][C];
    const auto at = [&](int layer, int r, int c) {
        return top + layer * picture.layer() + r * picture.pitch() + c * lanes;
    };
#pragma GCC unroll 2
    for (int layer = 0; layer < Layers; ++layer)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) std::memcpy(&sum[layer][r][c], at(layer, r, c), sizeof(Vector));
    for (int n = 0; n < count; ++n) {
        const Rows<Layers>& rows = *slices[n].rows;
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const float* above = scratch + (slices[n].offset + rows.at[first + r] * kTile);
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) {
                Vector one, two;
                std::memcpy(&one, above + c * lanes, sizeof(Vector));
                std::memcpy(&two, above + kTile + c * lanes, sizeof(Vector));
#pragma GCC unroll 2
                for (int layer = 0; layer < Layers; ++layer) {
                    sum[layer][r][c] += rows.near[layer][first + r] * one;
                    sum[layer][r][c] += rows.far[layer][first + r] * two;
                }
            }
        }
    }
#pragma GCC unroll 2
    for (int layer = 0; layer < Layers; ++layer)
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) std::memcpy(at(layer, r, c), &sum[layer][r][c], sizeof(Vector));
}

// As many rows at a time as there are registers for: R for one layer, half of them for two.
template <class Vector, int R, int C, int Layers>
void add_tile(const float* scratch, const Stretched<Layers>* slices, int count, float* top, const Picture& picture) {
    constexpr int width = C * sizeof(Vector) / sizeof(float), height = R / Layers;
    for (int r = 0; r < kBand; r += height)
        for (int c = 0; c < kTile; c += width)
            add_block<Vector, height, C, Layers>(scratch + c, slices, count, r, top + r * picture.pitch() + c, picture);
}

inline void cubic(const float* row, std::int32_t pitch, float w0, float w1, float w2, float w3, float* out) {
    // Two sums, so that the second need not wait for the first.
    __m128 upper = _mm_mul_ps(_mm_set1_ps(w0), _mm_loadu_ps(row));
    __m128 lower = _mm_mul_ps(_mm_set1_ps(w2), _mm_loadu_ps(row + 2 * pitch));
    upper = _mm_fmadd_ps(_mm_set1_ps(w1), _mm_loadu_ps(row + pitch), upper);
    lower = _mm_fmadd_ps(_mm_set1_ps(w3), _mm_loadu_ps(row + 3 * pitch), lower);
    _mm_store_ps(out, _mm_add_ps(upper, lower));
}

}  // namespace
}  // namespace skiagraph
