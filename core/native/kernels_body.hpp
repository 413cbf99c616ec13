// The loops of the sliced engine, for any instruction set.
//
// Every name here is local to the file that includes it, and no standard container or algorithm is used: code that
// one file compiles for a newer processor must not be what the linker keeps for all.

#pragma once

#include <cmath>
#include <cstring>

#include "kernels.hpp"

namespace skiagraph {
namespace {

constexpr int kFull = 32767;  // the weight 1 of an int16

inline std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }
inline std::int64_t most(std::int64_t a, std::int64_t b) { return a > b ? a : b; }

// 32 columns of a slice: the first voxel they need, where each finds its left neighbour after that, and how much of
// its right one it takes.
struct Columns {
    std::int32_t base;
    std::uint64_t mask;  // of the occupancy bits these columns touch; 0 where they all miss the slice
    std::int32_t left[kGroup];
    std::int16_t near[kGroup], far[kGroup];
};

inline void find(const Line& line, std::int64_t first, std::int64_t stored, int shift, Columns& found) {
    const auto end = static_cast<float>(stored - 1);
    const auto start = static_cast<float>(line.start + static_cast<double>(first) * line.step);
    const auto step = static_cast<float>(line.step);
    std::int32_t low = INT32_MAX, high = -1;
    for (int c = 0; c < kGroup; ++c) {
        const float x = start + static_cast<float>(c) * step;
        const bool inside = (x >= 0.0F) & (x < end);
        const auto left = static_cast<std::int32_t>(inside ? x : 0.0F);
        const auto far = static_cast<std::int32_t>((inside ? x - static_cast<float>(left) : 0.0F) * kFull + 0.5F);
        found.left[c] = left;
        found.far[c] = static_cast<std::int16_t>(far);
        found.near[c] = static_cast<std::int16_t>(inside ? kFull - far : 0);
        low = (inside & (left < low)) ? left : low;
        high = (inside & (left > high)) ? left : high;
    }
    found.base = high < 0 ? 0 : low;
    found.mask = 0;
    if (high < 0) low = 0;
    for (int c = 0; c < kGroup; ++c) found.left[c] = found.left[c] < low ? 0 : found.left[c] - low;
    if (high < 0) return;
    const int from = low >> shift, to = (high + 1) >> shift;
    found.mask = (~std::uint64_t{0} << from) & (~std::uint64_t{0} >> (63 - to));
}

template <class Isa>
void lay(const Line& line, std::int64_t stored, int shift, std::int64_t groups, void* table) {
    auto* group = static_cast<typename Isa::Group*>(table);
    Columns columns;
    for (std::int64_t g = 0; g < groups; ++g) {
        find(line, g * kGroup, stored, shift, columns);
        group[g].mask = columns.mask;
        Isa::pack(columns, group[g]);
    }
}

// Where a band's rows lie in one slice, and what each layer of the picture takes of the stored rows above and below.
template <int Layers>
struct Rows {
    std::int32_t at[kBand];  // the stored row above each
    float near[Layers][kBand], far[Layers][kBand];
    std::int64_t first, last;  // stored rows that are needed, both included
    std::uint64_t occupied;    // of all of them together; 0 where the band misses the slice
};

template <int Layers>
void find(const Slices& slices, const Line& line, std::int64_t band, std::int64_t slice, Rows<Layers>& found) {
    const auto end = static_cast<float>(slices.rows - 1);
    const auto start = static_cast<float>(line.start + static_cast<double>(band * kBand) * line.step);
    const auto step = static_cast<float>(line.step);
    std::int32_t low = INT32_MAX, high = -1;
    for (int r = 0; r < kBand; ++r) {
        const float z = start + static_cast<float>(r) * step;
        const bool inside = (z >= 0.0F) & (z < end);
        const auto at = static_cast<std::int32_t>(inside ? z : 0.0F);
        const float far = z - static_cast<float>(at);
        found.at[r] = at;
        found.near[0][r] = inside ? 1.0F - far : 0.0F;
        found.far[0][r] = inside ? far : 0.0F;
        low = (inside & (at < low)) ? at : low;
        high = (inside & (at > high)) ? at : high;
    }
    if constexpr (Layers == 2) {
        const auto moment = static_cast<float>(kSpacing / line.step - 1.0);  // (1 - t) / t
        for (int r = 0; r < kBand; ++r) found.near[1][r] = moment * found.near[0][r];
        for (int r = 0; r < kBand; ++r) found.far[1][r] = moment * found.far[0][r];
    }
    found.occupied = 0;
    if (high < 0) return;
    for (int r = 0; r < kBand; ++r) found.at[r] = found.at[r] < low ? low : found.at[r];
    found.first = low;
    found.last = high + 1;
    const std::uint64_t* bits = slices.occupied + slice * slices.bits.slice;
    for (std::int64_t row = low; row <= high + 1; ++row) found.occupied |= bits[row * slices.bits.row];
}

// A slice whose rows lie stretched to the picture's columns in the scratch.
template <int Layers>
struct Stretched {
    const Rows<Layers>* rows;
    std::int64_t offset;  // of the stored row 0, were it there
};

template <class Isa, int Layers>
void pile(const Slices& slices, const Line* lines, const void* tables, const Picture& picture, std::int64_t band) {
    using Group = typename Isa::Group;
    alignas(64) float scratch[kSlab * (kBand + 2) * kTile];
    Rows<Layers> rows[kSlab];
    Stretched<Layers> stretched[kSlab];
    const std::int64_t groups = picture.tiles * (kTile / kGroup);
    const Strides voxels = slices.voxels;
    float* const top = picture.values + band * kBand * picture.pitch();
    const auto bytes = sizeof(float) * static_cast<std::size_t>(kBand * picture.pitch());
    for (int layer = 0; layer < Layers; ++layer) std::memset(top + layer * picture.layer(), 0, bytes);
    for (std::int64_t from = 0; from < slices.count; from += kSlab) {
        const std::int64_t to = least(from + kSlab, slices.count);
        for (std::int64_t n = from; n < to; ++n) find(slices, lines[n], band, n, rows[n - from]);
        for (std::int64_t tile = 0; tile < picture.tiles; ++tile) {
            if (!picture.wanted[band * picture.tiles + tile]) continue;
            int count = 0;
            std::int64_t used = 0;
            for (std::int64_t n = from; n < to; ++n) {
                const Rows<Layers>& needed = rows[n - from];
                const Group* group = static_cast<const Group*>(tables) + n * groups + tile * (kTile / kGroup);
                if (!(needed.occupied & (group[0].mask | group[1].mask))) continue;
                const std::int64_t height = needed.last - needed.first + 1;
                const std::int16_t* row = slices.values + n * voxels.slice + needed.first * voxels.row;
                // Two groups at a time share the cache lines they overlap in; the next slab's are fetched meanwhile.
                const std::int64_t ahead = n + kSlab < slices.count ? kSlab * voxels.slice : 0;
                for (int g = 0; g < kTile / kGroup; ++g)
                    Isa::stretch(group[g], row, voxels.row, height, ahead, scratch + used + g * kGroup);
                stretched[count++] = {&needed, used - needed.first * kTile};
                used += height * kTile;
            }
            if (count) Isa::add(scratch, stretched, count, top + tile * kTile, picture);
        }
    }
}

// Catmull-Rom: the cubic convolution of Keys 1981 with a = -1/2, on the four samples around.
inline void catmull_rom(float t, float& w0, float& w1, float& w2, float& w3) {
    w0 = t * (-0.5F + t * (1.0F - 0.5F * t));
    w1 = 1.0F + t * t * (1.5F * t - 2.5F);
    w2 = t * (0.5F + t * (2.0F - 1.5F * t));
    w3 = t * t * (0.5F * t - 0.5F);
}

inline void catmull_rom_slope(float t, float& w0, float& w1, float& w2, float& w3) {
    w0 = t * (2.0F - 1.5F * t) - 0.5F;
    w1 = t * (4.5F * t - 5.0F);
    w2 = t * (4.0F - 4.5F * t) + 0.5F;
    w3 = t * (1.5F * t - 1.0F);
}

constexpr int kBlock = 16;  // pixels that are looked up together

// What a block of pixels looks at.
struct Aim {
    std::int32_t at[kBlock];  // the first of the 4 x 4 samples around
    alignas(64) float column[kBlock], row[kBlock];            // where in the picture
    alignas(64) float past_column[kBlock], past_row[kBlock];  // how far past whole ones
    alignas(64) float near[kBlock], square[kBlock];           // 1 / d; the square of the ray's length
    alignas(64) float factor[kBlock];                         // from the picture to the pixel
};

inline void take_aim(const Picture& picture, const Sight& sight, float gain, std::int64_t from, Aim& aim) {
    const auto width = static_cast<float>(picture.pitch() - 3);
    const auto height = static_cast<float>(picture.bands * kBand - 3);
    const auto pitch = static_cast<std::int32_t>(picture.pitch());
    // Taken again for each block, in double, so that no error grows along the row.
    const auto u = static_cast<double>(from);
    const auto column = static_cast<float>(sight.column[0] + u * sight.column[1]);
    const auto row = static_cast<float>(sight.row[0] + u * sight.row[1]);
    const auto depth = static_cast<float>(sight.depth[0] + u * sight.depth[1]);
    const auto path = static_cast<float>(sight.path[0] + u * (sight.path[1] + u * sight.path[2]));
    const auto slope = static_cast<float>(sight.path[1] + 2.0 * u * sight.path[2]);
    const auto bend = static_cast<float>(sight.path[2]);
    const float d_column = static_cast<float>(sight.column[1]), d_row = static_cast<float>(sight.row[1]);
    const auto d_depth = static_cast<float>(sight.depth[1]);
    for (int n = 0; n < kBlock; ++n) {
        // No branches, so that it becomes vectors.
        const auto f = static_cast<float>(n);
        const float near = 1.0F / (depth + f * d_depth);
        float x = (column + f * d_column) * near, y = (row + f * d_row) * near;
        // What lies beyond the picture is empty; one sample and two around it are kept for the cubic.
        const bool inside = (x >= 1.0F) & (x < width) & (y >= 1.0F) & (y < height);
        x = inside ? x : 1.0F;
        y = inside ? y : 1.0F;
        const auto i = static_cast<std::int32_t>(x), j = static_cast<std::int32_t>(y);
        aim.at[n] = (j - 1) * pitch + i - 1;
        aim.column[n] = x;
        aim.row[n] = y;
        aim.past_column[n] = x - static_cast<float>(i);
        aim.past_row[n] = y - static_cast<float>(j);
        aim.near[n] = near;
        aim.square[n] = path + f * (slope + f * bend);
        aim.factor[n] = inside ? gain * std::sqrt(aim.square[n]) * std::fabs(near) : 0.0F;
    }
}

// Weights of the four samples around, for each pixel of a block.
struct Weights {
    alignas(64) float of[4][kBlock];
};

template <class Kernel>
void weigh(const float* past, const Kernel& kernel, Weights& weights) {
    auto& w = weights.of;
    for (int n = 0; n < kBlock; ++n) kernel(past[n], w[0][n], w[1][n], w[2][n], w[3][n]);
}

// The sums down the four columns around each of `count` pixels.
template <class Isa>
void sum_down(const float* values, const Picture& picture, const Aim& aim, const Weights& down, int count,
              float (&sums)[kBlock][4]) {
    const auto pitch = static_cast<std::int32_t>(picture.pitch());
    for (int n = 0; n < count; ++n)
        Isa::cubic(values + aim.at[n], pitch, down.of[0][n], down.of[1][n], down.of[2][n], down.of[3][n], sums[n]);
    for (int n = count; n < kBlock; ++n) sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = 0.0F;
}

inline float sum_across(const Weights& across, const float (&sums)[kBlock][4], int n) {
    return across.of[0][n] * sums[n][0] + across.of[1][n] * sums[n][1] + across.of[2][n] * sums[n][2] +
           across.of[3][n] * sums[n][3];
}

template <class Isa>
void look(const Picture& picture, const Sight& sight, float gain, std::int64_t columns, float* out) {
    Aim aim;
    Weights across, down;
    alignas(64) float sums[kBlock][4], seen[kBlock];
    for (std::int64_t from = 0; from < columns; from += kBlock) {
        const int count = static_cast<int>(least(kBlock, columns - from));
        take_aim(picture, sight, gain, from, aim);
        weigh(aim.past_column, catmull_rom, across);
        weigh(aim.past_row, catmull_rom, down);
        sum_down<Isa>(picture.values, picture, aim, down, count, sums);
        for (int n = 0; n < kBlock; ++n) seen[n] = aim.factor[n] * sum_across(across, sums, n);
        std::memcpy(out + from, seen, sizeof(float) * static_cast<std::size_t>(count));
    }
}

template <class Isa>
void look_both(const Picture& picture, const Sight& sight, const Lever& lever, float gain, std::int64_t columns,
               float* out, std::int64_t plane) {
    constexpr auto per_voxel = static_cast<float>(1.0 / kSpacing);
    const auto depth = static_cast<float>(lever.depth);
    float slope[2][2], matrix[3][3];
    for (int n = 0; n < 4; ++n) slope[n / 2][n % 2] = static_cast<float>(lever.slope[n / 2][n % 2]);
    for (int n = 0; n < 9; ++n) matrix[n / 3][n % 3] = static_cast<float>(lever.from_voxels[n / 3][n % 3]);
    Aim aim;
    Weights across, down, across_slope, down_slope;
    alignas(64) float sums[2][kBlock][4], slopes[2][kBlock][4], seen[kPlanes][kBlock];
    for (std::int64_t from = 0; from < columns; from += kBlock) {
        const int count = static_cast<int>(least(kBlock, columns - from));
        const auto u = static_cast<double>(from);
        take_aim(picture, sight, gain, from, aim);
        weigh(aim.past_column, catmull_rom, across);
        weigh(aim.past_row, catmull_rom, down);
        weigh(aim.past_column, catmull_rom_slope, across_slope);
        weigh(aim.past_row, catmull_rom_slope, down_slope);
        for (int layer = 0; layer < 2; ++layer) {
            const float* values = picture.values + layer * picture.layer();
            sum_down<Isa>(values, picture, aim, down, count, sums[layer]);
            sum_down<Isa>(values, picture, aim, down_slope, count, slopes[layer]);
        }
        float longer[2], longer_step[2];
        for (int axis = 0; axis < 2; ++axis) {
            longer[axis] = static_cast<float>(lever.lengthens[axis][0] + u * lever.lengthens[axis][1]);
            longer_step[axis] = static_cast<float>(lever.lengthens[axis][1]);
        }
        for (int n = 0; n < kBlock; ++n) {
            const float value = aim.factor[n] * sum_across(across, sums[0], n);
            const float way = depth * aim.near[n];  // from source to pixel, as far as the base plane
            const float scale = aim.factor[n] * per_voxel, stretch = value / aim.square[n];
            const float landing[2] = {scale * sum_across(across_slope, sums[0], n),
                                      scale * sum_across(across, slopes[0], n)};
            const float leaving[2] = {scale * sum_across(across_slope, sums[1], n),
                                      scale * sum_across(across, slopes[1], n)};
            const float steps[2] = {slope[0][0] + slope[0][1] * aim.column[n], slope[1][0] + slope[1][1] * aim.row[n]};
            // By column and row; what either end does along the ray does nothing, and that gives the third.
            float source[3] = {0.0F, 0.0F, 0.0F}, pixel[3] = {0.0F, 0.0F, 0.0F};
            for (int axis = 0; axis < 2; ++axis) {
                const float path = stretch * (longer[axis] + static_cast<float>(n) * longer_step[axis]);
                source[axis] = (1.0F - way) * landing[axis] + leaving[axis] - path;
                pixel[axis] = way * landing[axis] + path;
                source[2] -= source[axis] * steps[axis];
                pixel[2] -= pixel[axis] * steps[axis];
            }
            seen[0][n] = value;
            for (int w = 0; w < 3; ++w) {
                const float* row = matrix[w];
                seen[1 + w][n] = row[0] * source[0] + row[1] * source[1] + row[2] * source[2];
                seen[4 + w][n] = row[0] * pixel[0] + row[1] * pixel[1] + row[2] * pixel[2];
            }
        }
        for (int n = 0; n < kPlanes; ++n)
            std::memcpy(out + n * plane + from, seen[n], sizeof(float) * static_cast<std::size_t>(count));
    }
}

template <class Isa>
constexpr Kernels kernels() {
    return {sizeof(typename Isa::Group), lay<Isa>, pile<Isa, 1>, pile<Isa, 2>, look<Isa>, look_both<Isa>};
}

}  // namespace
}  // namespace skiagraph
