// Line integrals ray by ray, one bilinear sample a slice (Joseph 1982, IEEE TMI 1(3), 192-196): the plain,
// portable twin of drr/reference.py, and the yardstick the fast engine is measured against. C ABI, no dependencies.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <thread>
#include <vector>

#if defined(_WIN32)
#define SKIAGRAPH_API extern "C" __declspec(dllexport)
#else
#define SKIAGRAPH_API extern "C" __attribute__((visibility("default")))
#endif

namespace {

struct Field {
    const float* values;
    std::int64_t channels;
    std::int64_t size[3];    // i, j, k
    std::int64_t stride[3];  // of i, j, k
    std::int64_t channel_stride;
};

// One sample of every channel at (p, q) in a slice; the field is zero outside its voxels.
void add_bilinear(const Field& field, std::int64_t slice_offset, int a, int b, double p, double q, double weight,
                  double* sums) {
    const double p0 = std::floor(p), q0 = std::floor(q);
    const double fp = p - p0, fq = q - q0;
    const auto i0 = static_cast<std::int64_t>(p0), j0 = static_cast<std::int64_t>(q0);
    const double w[4] = {(1 - fp) * (1 - fq), fp * (1 - fq), (1 - fp) * fq, fp * fq};
    for (int n = 0; n < 4; ++n) {
        const std::int64_t i = i0 + (n & 1), j = j0 + (n >> 1);
        if (i < 0 || j < 0 || i >= field.size[a] || j >= field.size[b]) continue;
        const float* at = field.values + slice_offset + i * field.stride[a] + j * field.stride[b];
        for (std::int64_t c = 0; c < field.channels; ++c) sums[c] += weight * w[n] * at[c * field.channel_stride];
    }
}

// Calls visit(n, t, share, a, b, p, q) for each slice n the ray crosses: at the fraction t of its way, at (p, q)
// along the axes a and b of the slice, `share` of the ray being that slice's. `margin` is how far beyond the
// outermost voxel centres a sample can be other than zero.
template <class Visit>
void walk(const std::int64_t size[3], const double source[3], const double step[3], double margin, Visit visit) {
    int axis = 0;
    for (int n = 1; n < 3; ++n)
        if (std::abs(step[n]) > std::abs(step[axis])) axis = n;
    const int a = axis == 0 ? 1 : 0, b = axis == 2 ? 1 : 2;
    double low = 0.0, high = 1.0;
    for (int n = 0; n < 3; ++n) {
        const double beyond = n == axis ? 0.5 : margin;
        const double near = -beyond - source[n], far = static_cast<double>(size[n]) - 1.0 + beyond - source[n];
        if (step[n] == 0.0) {
            if (near > 0.0 || far < 0.0) return;
            continue;
        }
        low = std::max(low, std::min(near / step[n], far / step[n]));
        high = std::min(high, std::max(near / step[n], far / step[n]));
    }
    if (low >= high) return;
    const double first = source[axis] + low * step[axis], last = source[axis] + high * step[axis];
    const auto from = std::max<std::int64_t>(0, static_cast<std::int64_t>(std::floor(std::min(first, last))));
    const auto to = std::min(size[axis] - 1, static_cast<std::int64_t>(std::ceil(std::max(first, last))));
    const double half = 0.5 / std::abs(step[axis]);
    for (std::int64_t n = from; n <= to; ++n) {
        const double t = (static_cast<double>(n) - source[axis]) / step[axis];
        const double share = std::clamp(t + half, 0.0, 1.0) - std::clamp(t - half, 0.0, 1.0);
        if (share > 0.0) visit(axis, n, t, share, a, b, source[a] + t * step[a], source[b] + t * step[b]);
    }
}

// Calls visit(v, u, step, millimetres) for every pixel, on several threads that each take whole rows.
template <class Visit>
void for_each_ray(const double* source, const double* corner, const double* u_step, const double* v_step,
                  const double* millimetres, std::int64_t rows, std::int64_t columns, std::int32_t threads,
                  Visit visit) {
    std::atomic<std::int64_t> next_row{0};
    const auto work = [&] {
        for (std::int64_t v; (v = next_row.fetch_add(1)) < rows;) {
            for (std::int64_t u = 0; u < columns; ++u) {
                double step[3], world = 0.0;
                for (int n = 0; n < 3; ++n)
                    step[n] = corner[n] + static_cast<double>(u) * u_step[n] + static_cast<double>(v) * v_step[n] -
                              source[n];
                for (int n = 0; n < 3; ++n) {
                    const double x = millimetres[3 * n] * step[0] + millimetres[3 * n + 1] * step[1] +
                                     millimetres[3 * n + 2] * step[2];
                    world += x * x;
                }
                visit(v, u, step, std::sqrt(world));
            }
        }
    };
    std::vector<std::thread> team;
    for (std::int32_t n = 1; n < threads; ++n) team.emplace_back(work);
    work();
    for (auto& member : team) member.join();
}

}  // namespace

// values: [channels][k][j][i]; source, corner (pixel (0, 0)), u_step and v_step in voxel coordinates (i, j, k);
// millimetres: the 3x3 (row-major) that takes voxel steps to world steps; out: [channels][rows][columns].
SKIAGRAPH_API void skiagraph_joseph(const float* values, std::int64_t channels, const std::int64_t* size_ijk,
                                    const double* source, const double* corner, const double* u_step,
                                    const double* v_step, const double* millimetres, std::int64_t rows,
                                    std::int64_t columns, float* out, std::int32_t threads) {
    const std::int64_t ni = size_ijk[0], nj = size_ijk[1], nk = size_ijk[2];
    const Field field{values, channels, {ni, nj, nk}, {1, ni, ni * nj}, ni * nj * nk};
    for_each_ray(source, corner, u_step, v_step, millimetres, rows, columns, threads,
                 [&](std::int64_t v, std::int64_t u, const double* step, double length) {
                     std::vector<double> sums(static_cast<std::size_t>(channels), 0.0);
                     walk(field.size, source, step, 1.0,
                          [&](int axis, std::int64_t n, double, double share, int a, int b, double p, double q) {
                              add_bilinear(field, n * field.stride[axis], a, b, p, q, share * length, sums.data());
                          });
                     for (std::int64_t c = 0; c < channels; ++c)
                         out[(c * rows + v) * columns + u] = static_cast<float>(sums[static_cast<std::size_t>(c)]);
                 });
}

// index: [k][j][i], the label of each voxel, taken whole; numbers: the labels asked for; through and first:
// [labels][rows][columns], millimetres of the label along the ray and from the source to where it is first met.
SKIAGRAPH_API void skiagraph_thickness(const std::int16_t* index, const std::int16_t* numbers, std::int64_t labels,
                                       const std::int64_t* size_ijk, const double* source, const double* corner,
                                       const double* u_step, const double* v_step, const double* millimetres,
                                       std::int64_t rows, std::int64_t columns, float* through, float* first,
                                       std::int32_t threads) {
    const std::int64_t size[3] = {size_ijk[0], size_ijk[1], size_ijk[2]};
    const std::int64_t stride[3] = {1, size[0], size[0] * size[1]};
    for_each_ray(source, corner, u_step, v_step, millimetres, rows, columns, threads,
                 [&](std::int64_t v, std::int64_t u, const double* step, double length) {
                     const std::int64_t pixel = v * columns + u, pixels = rows * columns;
                     for (std::int64_t m = 0; m < labels; ++m) {
                         through[m * pixels + pixel] = 0.0F;
                         first[m * pixels + pixel] = INFINITY;
                     }
                     walk(size, source, step, 0.5,
                          [&](int axis, std::int64_t n, double t, double share, int a, int b, double p, double q) {
                              const auto i = static_cast<std::int64_t>(std::nearbyint(p));
                              const auto j = static_cast<std::int64_t>(std::nearbyint(q));
                              if (i < 0 || j < 0 || i >= size[a] || j >= size[b]) return;
                              const std::int16_t met = index[n * stride[axis] + i * stride[a] + j * stride[b]];
                              for (std::int64_t m = 0; m < labels; ++m) {
                                  if (numbers[m] != met) continue;
                                  through[m * pixels + pixel] += static_cast<float>(share * length);
                                  float& depth = first[m * pixels + pixel];
                                  depth = std::min(depth, static_cast<float>(t * length));
                              }
                          });
                 });
}
