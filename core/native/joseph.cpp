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

// One ray's line integral and its derivatives: kPlanes values, `plane` apart. A ray of the length l crosses a slice at
// the fraction t of its way, meets the value f with the slopes g there, and a share w of it is the slice's: l Σ w f.
// Either end moves t and so what is met, the length, and the shares of the slices the ray ends in.
void along_with_ends(const Field& field, const View& view, const double step[3], const Passage& ray, float* out,
                     std::int64_t plane) {
    const int axes[2] = {ray.a, ray.b};
    const double slope[2] = {step[ray.a] / step[ray.axis], step[ray.b] / step[ray.axis]};
    double sum = 0.0, ending = 0.0;            // Σ w f; Σ f, once for each end of a share within the ray
    double met[2][2] = {}, moving[2] = {};   // for each end, weighed by 1 - t or t: Σ w g; Σ f of shares that move
    for (std::int64_t n = ray.from; n <= ray.to; ++n) {
        const double way = static_cast<double>(n) - view.source[ray.axis], t = way / step[ray.axis];
        double low[2], past[2];
        for (int k = 0; k < 2; ++k) {
            const double at = view.source[axes[k]] + way * slope[k];
            low[k] = std::floor(at);
            past[k] = at - low[k];
        }
        double value = 0.0, slopes[2] = {};
        for (int corner = 0; corner < 4; ++corner) {
            const int right = corner & 1, lower = corner >> 1;
            const auto i = static_cast<std::int64_t>(low[0]) + right, j = static_cast<std::int64_t>(low[1]) + lower;
            if (i < 0 || j < 0 || i >= field.size[ray.a] || j >= field.size[ray.b]) continue;
            const double voxel =
                field.values[n * field.stride[ray.axis] + i * field.stride[ray.a] + j * field.stride[ray.b]];
            const double across = right ? past[0] : 1 - past[0], down = lower ? past[1] : 1 - past[1];
            value += across * down * voxel;
            slopes[0] += (right ? down : -down) * voxel;
            slopes[1] += (lower ? across : -across) * voxel;
        }
        const double share = ray.share(t), weight[2] = {1 - t, t};
        const bool begins = t - ray.half > 0.0 && t - ray.half < 1.0, ends = t + ray.half > 0.0 && t + ray.half < 1.0;
        sum += share * value;
        ending += (begins + ends) * value;
        for (int end = 0; end < 2; ++end) {
            for (int k = 0; k < 2; ++k) met[end][k] += share * weight[end] * slopes[k];
            moving[end] += (ends - begins) * weight[end] * value;
        }
    }
    double world[3], voxels[3][3];
    view.to_world(step, world);
    view.voxels(voxels);
    const double length = std::sqrt(world[0] * world[0] + world[1] * world[1] + world[2] * world[2]);
    *out = static_cast<float>(length * sum);
    for (int end = 0; end < 2; ++end) {
        const double sign = end ? 1.0 : -1.0;
        double by[3];
        by[ray.axis] = -(moving[end] + sign * ray.half * ending) / step[ray.axis];
        for (int k = 0; k < 2; ++k) {
            by[axes[k]] = met[end][k];
            by[ray.axis] -= met[end][k] * slope[k];
        }
        for (int w = 0; w < 3; ++w) {
            double change = sign * sum * world[w] / length;
            for (int n = 0; n < 3; ++n) change += length * voxels[w][n] * by[n];
            out[(1 + 3 * end + w) * plane] = static_cast<float>(change);
        }
    }
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

// The same with its derivatives: [channels][kPlanes][rows][columns].
SKIAGRAPH_API void skiagraph_joseph_ends(const float* values, std::int64_t channels, const std::int64_t* size_ijk,
                                         const View* view, float* out, std::int32_t threads) {
    const std::int64_t ni = size_ijk[0], nj = size_ijk[1], nk = size_ijk[2], plane = view->rows * view->columns;
    skiagraph::for_each_ray(*view, threads, [&](std::int64_t v, std::int64_t u, const double* step, double) {
        const Passage ray(size_ijk, view->source, step, 1.0);
        for (std::int64_t c = 0; c < channels; ++c) {
            const Field field{values + c * ni * nj * nk, {ni, nj, nk}, {1, ni, ni * nj}};
            float* const pixel = out + c * skiagraph::kPlanes * plane + v * view->columns + u;
            along_with_ends(field, *view, step, ray, pixel, plane);
        }
    });
}
