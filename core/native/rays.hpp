// A ray and the slices it crosses: what the engines that go ray by ray have in common.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "team.hpp"
#include "view.hpp"

namespace skiagraph {

// Where a ray meets the slices across the axis it runs most steeply along.
struct Passage {
    int axis, a, b;
    std::int64_t from, to;  // slices, both included; from > to where the ray misses
    double half;            // half a slice, as a fraction of the way from source to pixel

    // `margin` is how far beyond the outermost voxel centres a sample can be other than zero.
    Passage(const std::int64_t size[3], const double source[3], const double step[3], double margin)
        : axis(steepest(step)), a(Plane(axis).a), b(Plane(axis).b), from(0), to(-1), half(0.5 / std::abs(step[axis])) {
        // The slices next to either end have a share of the ray too.
        double low = -half, high = 1.0 + half;
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
        // Limits first: from far enough away a slice's number is beyond any integer, or none.
        const auto end = static_cast<double>(size[axis]);
        from = static_cast<std::int64_t>(std::min(end, std::max(0.0, std::floor(std::min(first, last)))));
        to = static_cast<std::int64_t>(std::max(-1.0, std::min(end - 1.0, std::ceil(std::max(first, last)))));
    }

    // The fraction of the ray that is a slice's, the ray crossing it at the fraction t of its way.
    double share(double t) const { return std::clamp(t + half, 0.0, 1.0) - std::clamp(t - half, 0.0, 1.0); }
};

// Calls visit(v, u, step, millimetres) for every pixel.
template <class Visit>
void for_each_ray(const View& view, std::int32_t threads, const Visit& visit) {
    share_out(view.rows, threads, [&](std::int64_t v) {
        for (std::int64_t u = 0; u < view.columns; ++u) {
            double step[3], world[3];
            view.step(static_cast<double>(u), static_cast<double>(v), step);
            view.to_world(step, world);
            visit(v, u, step, std::sqrt(world[0] * world[0] + world[1] * world[1] + world[2] * world[2]));
        }
    });
}

}  // namespace skiagraph
