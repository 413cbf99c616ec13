// A field made ready for the sliced engine: int16, cropped to what is not zero, and copied once or twice: in rows along
// i, which serve views along j and k, and in rows along j for views along i.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.hpp"

namespace skiagraph {

// The cropped field in rows along one axis: [channel][plane][row][column], planes across k, with the zeros around it
// that `Slices` tells of.
struct Copy {
    std::vector<std::int16_t> values;
    std::vector<std::uint64_t> occupied;  // [channel][plane][row]
    std::int64_t count[3];                // voxels along column, row and plane, without the zeros
    std::int64_t pitch, plane;            // voxels from one row, and from one plane, to the next
    int shift;

    // One channel cut across k, or across its rows' axis.
    Slices across_planes(std::int64_t channel) const;
    Slices across_rows(std::int64_t channel) const;
};

struct Prepared {
    std::int64_t channels;
    std::int64_t size[3];             // i, j, k
    std::int64_t low[3], count[3];    // the box that holds all that is not zero; count 0 if there is nothing
    std::vector<double> step;         // of each channel: the field's unit for one step of the int16
    std::unique_ptr<Copy> along_i, along_j;  // made when first asked for

    // values: [channel][k][j][i].
    Prepared(const float* values, std::int64_t channels, const std::int64_t size_ijk[3], std::int32_t threads);

    bool finite() const;
    // Whether single precision holds the levels of every channel, and what they add up to.
    bool in_range() const;
    // Whether the copy that views along an axis need is there.
    bool has(int axis) const { return (axis == 0 ? along_j : along_i) != nullptr || !count[0]; }
    void copy(const float* values, int axis, std::int32_t threads);
    Slices slices(int axis, std::int64_t channel) const;
};

}  // namespace skiagraph
