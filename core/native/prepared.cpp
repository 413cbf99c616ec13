#include "prepared.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "team.hpp"
#include "view.hpp"

namespace skiagraph {
namespace {

constexpr double kLevels = 32767.0;

// What one plane of the field holds: its largest magnitude and the rows and columns that are not zero.
struct Extent {
    float largest = 0.0F;  // NaN or infinity if any value is
    std::int64_t low[2] = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max()};
    std::int64_t high[2] = {-1, -1};
};

float largest_of(const float* row, std::int64_t count) {
    // An integer comparison orders magnitudes as they are and puts NaN above infinity, so that neither is lost.
    std::uint32_t largest = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        std::uint32_t bits;
        std::memcpy(&bits, row + i, sizeof bits);
        largest = std::max(largest, bits & 0x7fffffffU);
    }
    float magnitude;
    std::memcpy(&magnitude, &largest, sizeof magnitude);
    return magnitude;
}

Extent extent_of(const float* plane, const std::int64_t size[3]) {
    Extent found;
    for (std::int64_t j = 0; j < size[1]; ++j) {
        const float* row = plane + j * size[0];
        const float magnitude = largest_of(row, size[0]);
        if (magnitude == 0.0F) continue;
        if (!(magnitude <= found.largest)) found.largest = magnitude;
        if (!std::isfinite(found.largest)) return found;
        found.low[1] = std::min(found.low[1], j);
        found.high[1] = j;
        // Only what lies outside the columns found so far need be looked at.
        std::int64_t first = 0, last = size[0] - 1;
        while (first < found.low[0] && row[first] == 0.0F) ++first;
        while (last > found.high[0] && row[last] == 0.0F) --last;
        found.low[0] = std::min(found.low[0], first);
        found.high[0] = std::max(found.high[0], last);
    }
    return found;
}

// Rounds up or down by turns, evenly spread (a Kronecker sequence of the plastic number, Roberts 2018), so that a
// uniform region keeps its mean; what a step of the int16 can say exactly stays as it is.
struct Dither {
    double inverse;
    double offset(std::int64_t i, std::int64_t j, std::int64_t k) const {
        const double phase = 0.8191725134 * static_cast<double>(i) + 0.6710436067 * static_cast<double>(j) +
                             0.5497004779 * static_cast<double>(k) + 0.5;
        return phase - std::floor(phase);
    }
    std::int16_t operator()(float value, std::int64_t i, std::int64_t j, std::int64_t k) const {
        const double level = std::floor(static_cast<double>(value) * inverse + offset(i, j, k));
        return static_cast<std::int16_t>(std::clamp(level, -kLevels, kLevels));
    }
};

std::int64_t padded(std::int64_t columns) { return (columns + 2 + 31) / 32 * 32; }

}  // namespace

Slices Copy::channel(std::int64_t c, std::int64_t columns) const {
    return {values.data() + c * slices * rows * pitch, occupied.data() + c * slices * rows, slices, rows, columns + 2,
            pitch, shift};
}

Prepared::Prepared(const float* values, std::int64_t channels_, const std::int64_t size_ijk[3], std::int32_t threads)
    : channels(channels_),
      size{size_ijk[0], size_ijk[1], size_ijk[2]},
      low{},
      count{},
      step(static_cast<std::size_t>(channels_), 0.0) {
    std::vector<Extent> planes(static_cast<std::size_t>(channels * size[2]));
    share_out(channels * size[2], threads, [&](std::int64_t n) {
        planes[static_cast<std::size_t>(n)] = extent_of(values + n * size[0] * size[1], size);
    });
    std::int64_t from[3], to[3] = {-1, -1, -1};
    std::fill(from, from + 3, std::numeric_limits<std::int64_t>::max());
    for (std::int64_t n = 0; n < channels * size[2]; ++n) {
        const Extent& plane = planes[static_cast<std::size_t>(n)];
        double& largest = step[static_cast<std::size_t>(n / size[2])];
        if (std::isnan(plane.largest) || plane.largest > largest) largest = plane.largest;  // NaN stays
        if (plane.largest == 0.0F) continue;
        for (int axis = 0; axis < 2; ++axis) {
            from[axis] = std::min(from[axis], plane.low[axis]);
            to[axis] = std::max(to[axis], plane.high[axis]);
        }
        from[2] = std::min(from[2], n % size[2]);
        to[2] = std::max(to[2], n % size[2]);
    }
    for (int axis = 0; axis < 3; ++axis)
        if (to[axis] >= 0) low[axis] = from[axis], count[axis] = to[axis] - from[axis] + 1;
    for (double& largest : step) largest /= kLevels;
}

bool Prepared::finite() const {
    return std::all_of(step.begin(), step.end(), [](double value) { return std::isfinite(value); });
}

void Prepared::copy(const float* values, int axis, std::int32_t threads) {
    if (copies[axis] || !count[0]) return;
    const Plane plane(axis);
    const std::int64_t slices = count[axis], rows = count[plane.b] + 2, columns = count[plane.a];
    auto made = std::make_unique<Copy>();
    made->slices = slices;
    made->rows = rows;
    made->pitch = padded(columns);
    made->shift = 4;
    while ((made->pitch - 1) >> made->shift > 63) ++made->shift;
    // The last load of all may look a register beyond.
    made->values.assign(static_cast<std::size_t>(channels * slices * rows * made->pitch + 64), 0);
    made->occupied.assign(static_cast<std::size_t>(channels * slices * rows), 0);
    const std::int64_t pitch = made->pitch, shift = made->shift;
    const std::int64_t stride[3] = {1, size[0], size[0] * size[1]};

    // Row by row of the copy; where its columns lie apart in the field, 16 slices at once share their cache lines.
    const std::int64_t together = axis == 0 ? 16 : 1, blocks = (slices + together - 1) / together;
    share_out(channels * blocks, threads, [&](std::int64_t item) {
        const std::int64_t c = item / blocks, first = item % blocks * together;
        const std::int64_t last = std::min(first + together, slices);
        const double unit = step[static_cast<std::size_t>(c)];
        if (unit == 0.0) return;
        const Dither dithered{1.0 / unit};
        const float* field = values + c * size[0] * size[1] * size[2];
        for (std::int64_t row = 0; row < count[plane.b]; ++row)
            for (std::int64_t column = 0; column < columns; ++column)
                for (std::int64_t n = first; n < last; ++n) {
                    std::int64_t at[3];
                    at[axis] = low[axis] + n;
                    at[plane.a] = low[plane.a] + column;
                    at[plane.b] = low[plane.b] + row;
                    const std::int16_t level =
                        dithered(field[at[0] * stride[0] + at[1] * stride[1] + at[2] * stride[2]], at[0], at[1], at[2]);
                    const std::int64_t line = (c * slices + n) * rows + row + 1;
                    made->values[static_cast<std::size_t>(line * pitch + column + 1)] = level;
                    if (level) made->occupied[static_cast<std::size_t>(line)] |= std::uint64_t{1} << ((column + 1) >> shift);
                }
    });
    copies[axis] = std::move(made);
}

}  // namespace skiagraph
