// Labels as rays see them, voxels taken whole: how much of each is in the way, and how far off it begins.

#include "api.hpp"
#include "rays.hpp"

// index: [k][j][i], the label of each voxel; numbers: the labels asked for; through and first:
// [labels][rows][columns], millimetres of the label along the ray and from the source to where it is first met.
SKIAGRAPH_API void skiagraph_thickness(const std::int16_t* index, const std::int16_t* numbers, std::int64_t labels,
                                       const std::int64_t* size, const skiagraph::View* view, float* through,
                                       float* first, std::int32_t threads) {
    const std::int64_t stride[3] = {1, size[0], size[0] * size[1]}, pixels = view->rows * view->columns;
    skiagraph::for_each_ray(
        *view, threads, [&](std::int64_t v, std::int64_t u, const double* step, double millimetres) {
            const std::int64_t pixel = v * view->columns + u;
            for (std::int64_t m = 0; m < labels; ++m) {
                through[m * pixels + pixel] = 0.0F;
                first[m * pixels + pixel] = INFINITY;
            }
            const double* source = view->source;
            const skiagraph::Passage ray(size, source, step, 0.5);
            for (std::int64_t n = ray.from; n <= ray.to; ++n) {
                const double t = (static_cast<double>(n) - source[ray.axis]) / step[ray.axis], share = ray.share(t);
                if (share <= 0.0) continue;
                const auto i = static_cast<std::int64_t>(std::nearbyint(source[ray.a] + t * step[ray.a]));
                const auto j = static_cast<std::int64_t>(std::nearbyint(source[ray.b] + t * step[ray.b]));
                if (i < 0 || j < 0 || i >= size[ray.a] || j >= size[ray.b]) continue;
                const std::int16_t met = index[n * stride[ray.axis] + i * stride[ray.a] + j * stride[ray.b]];
                for (std::int64_t m = 0; m < labels; ++m) {
                    if (numbers[m] != met) continue;
                    through[m * pixels + pixel] += static_cast<float>(share * millimetres);
                    float& depth = first[m * pixels + pixel];
                    depth = std::min(depth, static_cast<float>(t * millimetres));
                }
            }
        });
}
