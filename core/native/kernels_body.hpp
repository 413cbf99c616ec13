// The three loops of the sliced engine, for any instruction set.
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

// Where a band's rows lie in one slice.
struct Rows {
    std::int32_t at[kBand];  // the stored row above each
    float near[kBand], far[kBand];
    std::int64_t first, last;  // stored rows that are needed, both included
    std::uint64_t occupied;    // of all of them together; 0 where the band misses the slice
};

inline void find(const Slices& slices, const Line& line, std::int64_t band, std::int64_t slice, Rows& found) {
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
        found.near[r] = inside ? 1.0F - far : 0.0F;
        found.far[r] = inside ? far : 0.0F;
        low = (inside & (at < low)) ? at : low;
        high = (inside & (at > high)) ? at : high;
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
struct Stretched {
    const Rows* rows;
    std::int64_t offset;  // of the stored row 0, were it there
};

template <class Isa>
void pile(const Slices& slices, const Line* lines, const void* tables, const Picture& picture, std::int64_t band) {
    using Group = typename Isa::Group;
    alignas(64) float scratch[kSlab * (kBand + 2) * kTile];
    Rows rows[kSlab];
    Stretched stretched[kSlab];
    const std::int64_t groups = picture.tiles * (kTile / kGroup);
    const Strides voxels = slices.voxels;
    float* const top = picture.values + band * kBand * picture.pitch();
    std::memset(top, 0, sizeof(float) * static_cast<std::size_t>(kBand * picture.pitch()));
    for (std::int64_t from = 0; from < slices.count; from += kSlab) {
        const std::int64_t to = least(from + kSlab, slices.count);
        for (std::int64_t n = from; n < to; ++n) find(slices, lines[n], band, n, rows[n - from]);
        for (std::int64_t tile = 0; tile < picture.tiles; ++tile) {
            if (!picture.wanted[band * picture.tiles + tile]) continue;
            int count = 0;
            std::int64_t used = 0;
            for (std::int64_t n = from; n < to; ++n) {
                const Rows& needed = rows[n - from];
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
            if (count) Isa::add(scratch, stretched, count, top + tile * kTile, picture.pitch());
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

template <class Isa>
void look(const Picture& picture, const Sight& sight, float gain, std::int64_t columns, float* out) {
    constexpr int kBlock = 16;
    const auto width = static_cast<float>(picture.pitch() - 3);
    const auto height = static_cast<float>(picture.bands * kBand - 3);
    const auto pitch = static_cast<std::int32_t>(picture.pitch());
    for (std::int64_t from = 0; from < columns; from += kBlock) {
        const int count = static_cast<int>(least(kBlock, columns - from));
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

        std::int32_t at[kBlock];
        alignas(64) float across[4][kBlock], down[4][kBlock], factor[kBlock], sums[kBlock][4];
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
            catmull_rom(x - static_cast<float>(i), across[0][n], across[1][n], across[2][n], across[3][n]);
            catmull_rom(y - static_cast<float>(j), down[0][n], down[1][n], down[2][n], down[3][n]);
            at[n] = (j - 1) * pitch + i - 1;
            const float length = std::sqrt(path + f * (slope + f * bend));
            factor[n] = inside ? gain * length * std::fabs(near) : 0.0F;
        }
        for (int n = 0; n < count; ++n) {
            const float* row0 = picture.values + at[n];
            Isa::cubic(row0, pitch, down[0][n], down[1][n], down[2][n], down[3][n], sums[n]);
        }
        for (int n = count; n < kBlock; ++n) sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = 0.0F;
        alignas(64) float seen[kBlock];
        for (int n = 0; n < kBlock; ++n)
            seen[n] = factor[n] * (across[0][n] * sums[n][0] + across[1][n] * sums[n][1] + across[2][n] * sums[n][2] +
                                   across[3][n] * sums[n][3]);
        std::memcpy(out + from, seen, sizeof(float) * static_cast<std::size_t>(count));
    }
}

template <class Isa>
constexpr Kernels kernels() {
    return {sizeof(typename Isa::Group), lay<Isa>, pile<Isa>, look<Isa>};
}

}  // namespace
}  // namespace skiagraph
