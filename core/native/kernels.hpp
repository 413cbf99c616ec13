// What the sliced engine asks of a processor: three loops, each written once in kernels_body.hpp and compiled for
// several instruction sets.

#pragma once

#include <cstddef>
#include <cstdint>

#include "view.hpp"

namespace skiagraph {

constexpr int kGroup = 32;  // columns whose voxels one load brings
constexpr int kTile = 64;   // columns, two groups
constexpr int kBand = 24;   // rows of the picture that one thread piles up at a time
constexpr int kSlab = 8;    // slices that are stretched before they are piled up: what the first-level cache holds

// Voxels between the columns (and the rows) of the base plane.
constexpr double kSpacing = 0.6;

// Where the picture's columns (or rows) lie in one slice, in stored voxels: column c at start + c * step.
struct Line {
    double start, step;
};

// How far apart slices and their rows lie in memory, in elements.
struct Strides {
    std::int64_t slice, row;
};

// One channel of the field, cut into slices: int16, a row of zeros before and after each slice's own, a zero before
// and zeros after each row's own voxels.
struct Slices {
    const std::int16_t* values;
    const std::uint64_t* occupied;  // of each row: bit n is set if any of the voxels n << shift ... is not zero
    Strides voxels, bits;           // of `values` and of `occupied`
    std::int64_t count, rows, columns;  // with their zeros
    int shift;
};

// The intermediate picture on the base plane; bands and tiles are whole. Where derivatives are asked for, it has two
// layers: the sum of the slices, and that of (1 - t) / t times each, with t a slice's fraction of the way from the
// source s to the plane. A ray that lands at b runs through s + t (b - s) in the slice, so that what it meets there
// changes with b by t times the slice's own slope, and with s by 1 - t times. Summed up, these are the slopes of the
// first layer and of the second.
struct Picture {
    float* values;
    std::int64_t bands, tiles;
    const std::uint8_t* wanted;  // [band][tile]: whether the view looks at it

    std::int64_t pitch() const { return tiles * kTile; }
    std::int64_t layer() const { return bands * kBand * pitch(); }  // samples from one layer to the next
};

// One row of pixels as it looks at the picture. With d = depth[0] + u depth[1], the pixel u sees the column
// (column[0] + u column[1]) / d and the row (row[0] + u row[1]) / d, and its path through one slice is
// sqrt(path[0] + u path[1] + u² path[2]) / |d|.
struct Sight {
    double column[2], row[2], depth[2], path[3];
};

// What takes the slopes of the picture's two layers to a pixel's derivatives by the two ends of its ray. Along the axes
// of the picture's columns and rows (n = 0, 1) a ray seen at the column (row) x advances by slope[n][0] + x slope[n][1]
// voxels for each slice, and lengthens[n][0] + u lengthens[n][1] is half of what one voxel more adds to the square of
// its length. from_voxels[w] takes derivatives by voxels of column, row and slice to the one by millimetres along w.
struct Lever {
    double depth;  // of the base plane: slices from the source
    double slope[2][2], lengthens[2][2], from_voxels[3][3];
};

struct Kernels {
    std::size_t group_bytes;
    // The table of one slice's columns: one group after another.
    void (*lay)(const Line& line, std::int64_t columns_stored, int shift, std::int64_t groups, void* table);
    // Pile all slices up on one band of the picture, for its first layer or both. `tables`: [slice][group].
    using Pile = void (*)(const Slices& slices, const Line* rows, const void* tables, const Picture& picture,
                          std::int64_t band);
    Pile pile, pile_both;
    // One row of pixels from the picture.
    void (*look)(const Picture& picture, const Sight& sight, float gain, std::int64_t columns, float* out);
    // The same from both layers, with its derivatives: kPlanes rows, `plane` apart.
    void (*look_both)(const Picture& picture, const Sight& sight, const Lever& lever, float gain, std::int64_t columns,
                      float* out, std::int64_t plane);
};

extern const Kernels kPortableKernels;
#if defined(SKIAGRAPH_X86_KERNELS)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace skiagraph
