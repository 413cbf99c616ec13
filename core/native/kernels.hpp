// What the sliced engine asks of a processor: three loops, each written once in kernels_body.hpp and compiled for
// several instruction sets.

#pragma once

#include <cstddef>
#include <cstdint>

namespace skiagraph {

constexpr int kGroup = 32;  // columns whose voxels one load brings
constexpr int kTile = 64;   // columns, two groups
constexpr int kBand = 24;   // rows of the picture that one thread piles up at a time
constexpr int kSlab = 8;    // slices that are stretched before they are piled up: what the first-level cache holds

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

// The intermediate picture on the base plane; bands and tiles are whole.
struct Picture {
    float* values;
    std::int64_t bands, tiles;
    const std::uint8_t* wanted;  // [band][tile]: whether the view looks at it

    std::int64_t pitch() const { return tiles * kTile; }
};

// One row of pixels as it looks at the picture. With d = depth[0] + u depth[1], the pixel u sees the column
// (column[0] + u column[1]) / d and the row (row[0] + u row[1]) / d, and its path through one slice is
// sqrt(path[0] + u path[1] + u² path[2]) / |d|.
struct Sight {
    double column[2], row[2], depth[2], path[3];
};

struct Kernels {
    std::size_t group_bytes;
    // The table of one slice's columns: one group after another.
    void (*lay)(const Line& line, std::int64_t columns_stored, int shift, std::int64_t groups, void* table);
    // Pile all slices up on one band of the picture. `tables`: [slice][group].
    void (*pile)(const Slices& slices, const Line* rows, const void* tables, const Picture& picture, std::int64_t band);
    // One row of pixels from the picture.
    void (*look)(const Picture& picture, const Sight& sight, float gain, std::int64_t columns, float* out);
};

extern const Kernels kPortableKernels;
#if defined(SKIAGRAPH_X86_KERNELS)
extern const Kernels kAvx2Kernels;
extern const Kernels kAvx512Kernels;
#endif

}  // namespace skiagraph
