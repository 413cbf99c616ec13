// A field made ready for the sliced engine: int16, cropped to what is not zero, one copy for each axis looked along.

#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels.hpp"

namespace skiagraph {

// The cropped field with the slices across one axis one after the other.
struct Copy {
    std::vector<std::int16_t> values;     // [channel][slice][row][column], with the zeros `Slices` tells of
    std::vector<std::uint64_t> occupied;  // [channel][slice][row]
    std::int64_t slices, rows, pitch;
    int shift;

    Slices channel(std::int64_t c, std::int64_t columns) const;
};

struct Prepared {
    std::int64_t channels;
    std::int64_t size[3];            // i, j, k
    std::int64_t low[3], count[3];   // the box that holds all that is not zero; count 0 if there is nothing
    std::vector<double> step;        // of each channel: the field's unit for one step of the int16
    std::unique_ptr<Copy> copies[3]; // by axis, made when first asked for

    // values: [channel][k][j][i].
    Prepared(const float* values, std::int64_t channels, const std::int64_t size_ijk[3], std::int32_t threads);

    bool finite() const;
    // Whether single precision holds the levels of every channel, and what they add up to.
    bool in_range() const;
    void copy(const float* values, int axis, std::int32_t threads);
};

}  // namespace skiagraph
