// What the vector instruction sets have in common: rows piled up in registers, and the cubic on four samples at once.

#pragma once

#include <immintrin.h>

#include "kernels_body.hpp"

namespace skiagraph {
namespace {

// Adds R rows of C vectors to the picture from all stretched slices, without leaving the registers in between.
template <class Vector, int R, int C>
void add_block(const float* scratch, const Stretched* slices, int count, int first, float* top, std::int64_t pitch) {
    constexpr int lanes = sizeof(Vector) / sizeof(float);
    Vector sum[R][C];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) std::memcpy(&sum[r][c], top + r * pitch + c * lanes, sizeof(Vector));
    for (int n = 0; n < count; ++n) {
        const Rows& rows = *slices[n].rows;
#pragma GCC unroll 16
        for (int r = 0; r < R; ++r) {
            const float* above = scratch + (slices[n].offset + rows.at[first + r] * kTile);
            const float near = rows.near[first + r], far = rows.far[first + r];
#pragma GCC unroll 16
            for (int c = 0; c < C; ++c) {
                Vector one, two;
                std::memcpy(&one, above + c * lanes, sizeof(Vector));
                std::memcpy(&two, above + kTile + c * lanes, sizeof(Vector));
                sum[r][c] += near * one;
                sum[r][c] += far * two;
            }
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 16
        for (int c = 0; c < C; ++c) std::memcpy(top + r * pitch + c * lanes, &sum[r][c], sizeof(Vector));
}

template <class Vector, int R, int C>
void add_tile(const float* scratch, const Stretched* slices, int count, float* top, std::int64_t pitch) {
    constexpr int width = C * sizeof(Vector) / sizeof(float);
    for (int r = 0; r < kBand; r += R)
        for (int c = 0; c < kTile; c += width)
            add_block<Vector, R, C>(scratch + c, slices, count, r, top + r * pitch + c, pitch);
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
