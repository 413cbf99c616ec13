// One exposure as the library is told of it: everything in voxel coordinates (i, j, k) of the field.

#pragma once

#include <cmath>
#include <cstdint>

namespace skiagraph {

struct View {
    double source[3];
    double corner[3];  // the centre of pixel (0, 0)
    double u_step[3];
    double v_step[3];
    double millimetres[9];  // row-major 3x3: voxel steps to world steps
    std::int64_t rows;
    std::int64_t columns;

    // From the source to the pixel (u, v).
    void step(double u, double v, double out[3]) const {
        for (int n = 0; n < 3; ++n) out[n] = corner[n] + u * u_step[n] + v * v_step[n] - source[n];
    }

    // A step of voxels as one of the world, in millimetres.
    void to_world(const double step[3], double out[3]) const {
        for (int n = 0; n < 3; ++n)
            out[n] = millimetres[3 * n] * step[0] + millimetres[3 * n + 1] * step[1] + millimetres[3 * n + 2] * step[2];
    }

    // out[w][n]: voxels along n for a millimetre along w. It takes derivatives by voxels to those by millimetres.
    void voxels(double out[3][3]) const {
        const double* m = millimetres;
        double volume = 0.0;
        for (int w = 0; w < 3; ++w)
            for (int n = 0; n < 3; ++n) {
                const int v = (w + 1) % 3, x = (w + 2) % 3, a = (n + 1) % 3, b = (n + 2) % 3;
                out[w][n] = m[3 * v + a] * m[3 * x + b] - m[3 * v + b] * m[3 * x + a];
                if (w == 0) volume += out[w][n] * m[n];
            }
        for (int n = 0; n < 9; ++n) out[n / 3][n % 3] /= volume;
    }
};

// Planes of a picture with its derivatives: the picture, its derivatives by the x, y, z (millimetres) of each ray's
// source, and then those by the x, y, z of the pixel's own place.
constexpr int kPlanes = 7;

// The two axes that span a slice across `axis`.
struct Plane {
    int a, b;
    explicit Plane(int axis) : a(axis == 0 ? 1 : 0), b(axis == 2 ? 1 : 2) {}
};

inline int steepest(const double step[3]) {
    int axis = 0;
    for (int n = 1; n < 3; ++n)
        if (std::abs(step[n]) > std::abs(step[axis])) axis = n;
    return axis;
}

}  // namespace skiagraph
