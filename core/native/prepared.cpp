#include "prepared.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "team.hpp"
#include "view.hpp"

namespace skiagraph {
namespace {

constexpr std::int32_t kLevels = 32767;

// What one plane of the field holds: its largest magnitude and the rows and columns that are not zero.
struct Extent {
    float largest = 0.0F;  // NaN or infinity if any value is
    std::int64_t low[2] = {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::max()};
    std::int64_t high[2] = {-1, -1};
};

float largest_of(const float* row, std::int64_t count) {
    // As integers, magnitudes keep their order and NaN comes above infinity, so that neither is lost.
    std::int32_t largest = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        std::int32_t bits;
        std::memcpy(&bits, row + i, sizeof bits);
        largest = std::max(largest, bits & 0x7fffffff);
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
// uniform region keeps its mean. Zero stays zero.
void quantise(const float* row, std::int64_t count, double unit, std::int64_t i, std::int64_t j, std::int64_t k,
              std::int16_t* out) {
    constexpr std::uint32_t turn[3] = {0xd1b54a33U, 0xabc98389U, 0x8cb92ba7U};  // of a whole turn of 2^32
    constexpr float to_turns = 1.0F / 16777216.0F;
    const auto inverse = static_cast<float>(1.0 / unit);
    const std::uint32_t start = turn[0] * static_cast<std::uint32_t>(i) + turn[1] * static_cast<std::uint32_t>(j) +
                                turn[2] * static_cast<std::uint32_t>(k) + (1U << 31);
    for (std::int64_t n = 0; n < count; ++n) {
        const std::uint32_t phase = start + turn[0] * static_cast<std::uint32_t>(n);
        const float offset = static_cast<float>(static_cast<std::int32_t>(phase >> 8)) * to_turns;
        const float level = row[n] * inverse + offset;
        const auto cut = static_cast<std::int32_t>(level);
        const std::int32_t floor = cut - (level < static_cast<float>(cut) ? 1 : 0);
        out[n] = static_cast<std::int16_t>(std::min(std::max(floor, -kLevels), kLevels));
    }
}

std::uint64_t occupancy(const std::int16_t* row, std::int64_t pitch, int shift) {
    std::uint64_t bits = 0;
    for (std::int64_t from = 0; from < pitch; from += std::int64_t{1} << shift) {
        std::int16_t any = 0;
        const std::int64_t to = std::min(pitch, from + (std::int64_t{1} << shift));
        for (std::int64_t n = from; n < to; ++n) any = static_cast<std::int16_t>(any | row[n]);
        bits |= std::uint64_t{any != 0} << (from >> shift);
    }
    return bits;
}

// Rows of whole cache lines.
std::int64_t padded(std::int64_t columns) { return (columns + 2 + 31) / 32 * 32; }

// An odd number of cache lines, so that voxels one above the other do not all fall into the same few sets of a cache.
std::int64_t apart(std::int64_t voxels) { return voxels / 32 % 2 ? voxels : voxels + 32; }

}  // namespace

Slices Copy::across_planes(std::int64_t channel) const {
    const std::int64_t rows = count[1] + 2, planes = count[2] + 2;
    return {values.data() + channel * planes * plane + plane,
            occupied.data() + (channel * planes + 1) * rows,
            {plane, pitch},
            {rows, 1},
            count[2],
            rows,
            count[0] + 2,
            shift};
}

Slices Copy::across_rows(std::int64_t channel) const {
    const std::int64_t rows = count[1] + 2, planes = count[2] + 2;
    return {values.data() + channel * planes * plane + pitch,
            occupied.data() + channel * planes * rows + 1,
            {pitch, plane},
            {1, rows},
            count[1],
            planes,
            count[0] + 2,
            shift};
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

bool Prepared::in_range() const {
    return std::all_of(step.begin(), step.end(),
                       [](double value) { return value == 0.0 || (value > 1e-30 && value < 1e24); });
}

Slices Prepared::slices(int axis, std::int64_t channel) const {
    if (axis == 0) return along_j->across_rows(channel);
    return axis == 1 ? along_i->across_rows(channel) : along_i->across_planes(channel);
}

void Prepared::copy(const float* values, int axis, std::int32_t threads) {
    if (has(axis)) return;
    const bool turned = axis == 0;
    auto made = std::make_unique<Copy>();
    made->count[0] = count[turned ? 1 : 0];
    made->count[1] = count[turned ? 0 : 1];
    made->count[2] = count[2];
    made->pitch = padded(made->count[0]);
    made->plane = apart((made->count[1] + 2) * made->pitch);
    made->shift = 4;
    while ((made->pitch - 1) >> made->shift > 63) ++made->shift;
    const std::int64_t pitch = made->pitch, rows = made->count[1] + 2, planes = channels * (count[2] + 2);
    // The last load of all may look a register beyond.
    made->values.assign(static_cast<std::size_t>(planes * made->plane + 64), 0);
    made->occupied.assign(static_cast<std::size_t>(planes * rows), 0);

    share_out(channels * count[2], threads, [&](std::int64_t item) {
        const std::int64_t c = item / count[2], k = item % count[2], plane = c * (count[2] + 2) + k + 1;
        const double unit = step[static_cast<std::size_t>(c)];
        if (unit == 0.0) return;
        std::int16_t* const first = made->values.data() + plane * made->plane + pitch + 1;
        // Turned rows are written from a block of the field's, so that whole lines of the cache are filled.
        constexpr std::int64_t block = 32;
        std::vector<std::int16_t> levels(static_cast<std::size_t>(turned ? block * count[0] : 0));
        for (std::int64_t from = 0; from < count[1]; from += block) {
            const std::int64_t height = std::min(block, count[1] - from);
            for (std::int64_t j = 0; j < height; ++j) {
                const std::int64_t at[3] = {low[0], low[1] + from + j, low[2] + k};
                const float* row = values + ((c * size[2] + at[2]) * size[1] + at[1]) * size[0] + at[0];
                std::int16_t* const out = turned ? levels.data() + j * count[0] : first + (from + j) * pitch;
                quantise(row, count[0], unit, at[0], at[1], at[2], out);
            }
            for (std::int64_t i = 0; turned && i < count[0]; ++i)
                for (std::int64_t j = 0; j < height; ++j)
                    first[i * pitch + from + j] = levels[static_cast<std::size_t>(j * count[0] + i)];
        }
        for (std::int64_t row = 0; row < rows; ++row)
            made->occupied[static_cast<std::size_t>(plane * rows + row)] =
                occupancy(made->values.data() + plane * made->plane + row * pitch, pitch, made->shift);
    });
    (turned ? along_j : along_i) = std::move(made);
}

}  // namespace skiagraph
