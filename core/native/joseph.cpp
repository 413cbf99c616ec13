// Line integrals ray by ray, one bilinear sample a slice (Joseph 1982, IEEE TMI 1(3), 192-196): the plain,
// portable twin of drr/reference.py, and the yardstick the sliced engine is measured against.

#include "api.hpp"
#include "rays.hpp"

namespace {

using skiagraph::Passage;
using skiagraph::View;

struct Field {
    const float* values;
    std::int64_t size[3];    // i, j, k
    std::int64_t stride[3];  // of i, j, k
};

// Voxels: how far inside the outermost of `size` centres rounding can be trusted to stay inside, that of positions to
// single precision and that of rays to double, which is coarse where the source is very far away.
double safe(std::int64_t size, const double source[3]) {
    const double away = std::max({std::abs(source[0]), std::abs(source[1]), std::abs(source[2])});
    return std::max({1e-3, 0x1p-21 * static_cast<double>(size), 0x1p-48 * away});
}

// The slices a ray crosses with all four neighbours in the field and its whole share of the path: most of them,
// and there nothing need be asked.
void inner(const Field& field, const double source[3], const double step[3], const Passage& ray, std::int64_t& from,
           std::int64_t& to) {
    double low = ray.half, high = 1.0 - ray.half;
    from = to = ray.from;
    for (const int n : {ray.a, ray.b}) {
        const double margin = safe(field.size[n], source);
        const double near = margin - source[n], far = static_cast<double>(field.size[n] - 1) - margin - source[n];
        if (near > far) return;  // too thin for any ray to be well inside
        if (step[n] == 0.0) {
            if (near > 0.0 || far < 0.0) return;
            continue;
        }
        low = std::max(low, std::min(near / step[n], far / step[n]));
        high = std::min(high, std::max(near / step[n], far / step[n]));
    }
    if (low >= high) return;
    const double first = source[ray.axis] + low * step[ray.axis], last = source[ray.axis] + high * step[ray.axis];
    const auto limit = [&](double n) { return std::clamp(n, static_cast<double>(ray.from), ray.to + 1.0); };
    from = static_cast<std::int64_t>(limit(std::ceil(std::min(first, last)) + 1.0));
    to = std::max(from, static_cast<std::int64_t>(limit(std::floor(std::max(first, last)))));
}

float along(const Field& field, const double source[3], const double step[3], const Passage& ray) {
    const std::int64_t stride_a = field.stride[ray.a], stride_b = field.stride[ray.b];
    const double slope_a = step[ray.a] / step[ray.axis], slope_b = step[ray.b] / step[ray.axis];
    const auto way_to = [&](std::int64_t n) { return static_cast<double>(n) - source[ray.axis]; };
    const auto p = [&](std::int64_t n) { return source[ray.a] + way_to(n) * slope_a; };
    const auto q = [&](std::int64_t n) { return source[ray.b] + way_to(n) * slope_b; };

    // One sample with all its ifs; the field is zero outside its voxels.
    const auto careful = [&](std::int64_t n) {
        const double share = ray.share(way_to(n) / step[ray.axis]) / (2 * ray.half);
        const double p0 = std::floor(p(n)), q0 = std::floor(q(n));
        const double fp = p(n) - p0, fq = q(n) - q0;
        const double weight[4] = {(1 - fp) * (1 - fq), fp * (1 - fq), (1 - fp) * fq, fp * fq};
        double sum = 0.0;
        for (int corner = 0; corner < 4; ++corner) {
            const std::int64_t i = static_cast<std::int64_t>(p0) + (corner & 1);
            const std::int64_t j = static_cast<std::int64_t>(q0) + (corner >> 1);
            if (i < 0 || j < 0 || i >= field.size[ray.a] || j >= field.size[ray.b]) continue;
            sum += weight[corner] * field.values[n * field.stride[ray.axis] + i * stride_a + j * stride_b];
        }
        return static_cast<float>(share * sum);
    };

    std::int64_t from, to;
    inner(field, source, step, ray, from, to);
    float sum = 0.0F;
    for (std::int64_t n = ray.from; n < from; ++n) sum += careful(n);
    const auto p_from = static_cast<float>(p(from)), q_from = static_cast<float>(q(from));
    const auto dp = static_cast<float>(slope_a), dq = static_cast<float>(slope_b);
    const float* slice = field.values + from * field.stride[ray.axis];
    for (std::int64_t n = from; n < to; ++n, slice += field.stride[ray.axis]) {
        const auto way = static_cast<float>(n - from);
        const float x = p_from + way * dp, y = q_from + way * dq;
        const auto i = static_cast<std::int32_t>(x), j = static_cast<std::int32_t>(y);
        const float fx = x - static_cast<float>(i), fy = y - static_cast<float>(j);
        const float* at = slice + i * stride_a + j * stride_b;
        const float near = at[0] + fx * (at[stride_a] - at[0]);
        const float far = at[stride_b] + fx * (at[stride_a + stride_b] - at[stride_b]);
        sum += near + fy * (far - near);
    }
    for (std::int64_t n = to; n <= ray.to; ++n) sum += careful(n);
    return sum;
}

}  // namespace

// values: [channels][k][j][i]; out: [channels][rows][columns].
SKIAGRAPH_API void skiagraph_joseph(const float* values, std::int64_t channels, const std::int64_t* size_ijk,
                                    const View* view, float* out, std::int32_t threads) {
    const std::int64_t ni = size_ijk[0], nj = size_ijk[1], nk = size_ijk[2];
    skiagraph::for_each_ray(
        *view, threads, [&](std::int64_t v, std::int64_t u, const double* step, double millimetres) {
            const Passage ray(size_ijk, view->source, step, 1.0);
            for (std::int64_t c = 0; c < channels; ++c) {
                const Field field{values + c * ni * nj * nk, {ni, nj, nk}, {1, ni, ni * nj}};
                const float sum = ray.from <= ray.to ? along(field, view->source, step, ray) : 0.0F;
                out[(c * view->rows + v) * view->columns + u] = static_cast<float>(2.0 * ray.half * millimetres) * sum;
            }
        });
}
