// Line integrals slice by slice: the fast engine.
//
// All rays meet in the source, so on a plane parallel to the field's slices each slice is only a scaled copy of itself:
// where a column of the plane lies in a slice depends on the column alone, where a row does on the row alone.
// So the slices are stretched and piled up, columns first and then rows, on such a base plane behind the field; and
// the panel looks at that picture through one homography. The quadrature is Joseph's (one bilinear sample a slice), the
// perspective is exact; the idea is the shear-warp of Lacroute & Levoy 1994. All derivatives by the view need no more
// than a second picture, of other weights for the same slices; see `Picture`.

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <vector>

#include "api.hpp"
#include "kernels.hpp"
#include "prepared.hpp"
#include "team.hpp"
#include "view.hpp"

namespace {

using namespace skiagraph;

// How obliquely, in voxels across for each slice, rays may cross the slices before samples lie too far apart.
constexpr double kOblique = 1.7;

struct Interval {
    double low, high;
};

// How a view looks at the field along one axis.
struct Plan {
    int axis;
    Plane plane;
    double base, depth;       // the base plane's slice; slices from the source to it
    std::int64_t slices;
    Interval across, down;    // the part of the base plane that is wanted, in voxels along plane.a and plane.b
    std::int64_t columns, rows;

    explicit Plan(int axis_) : axis(axis_), plane(axis_) {}
};

void corners(const View& view, double steps[4][3]) {
    const auto right = static_cast<double>(view.columns - 1), bottom = static_cast<double>(view.rows - 1);
    for (int n = 0; n < 4; ++n) view.step(n & 1 ? right : 0.0, n & 2 ? bottom : 0.0, steps[n]);
}

double obliqueness(const double steps[4][3], int axis) {
    const Plane plane(axis);
    double most = 0.0;
    for (int n = 0; n < 4; ++n) {
        if (steps[n][axis] * steps[0][axis] <= 0.0) return INFINITY;
        const double along = std::abs(steps[n][axis]);
        most = std::max({most, std::abs(steps[n][plane.a]) / along, std::abs(steps[n][plane.b]) / along});
    }
    return most;
}

// The part of the field along `axis` that the rays reach between two slices: over all corners, as rays spread evenly.
Interval reached(const Prepared& field, const View& view, const double steps[4][3], int along, int axis,
                 const Interval& slices) {
    Interval found{INFINITY, -INFINITY};
    for (int n = 0; n < 4; ++n)
        for (const double slice : {slices.low, slices.high}) {
            const double at = view.source[axis] + (slice - view.source[along]) / steps[n][along] * steps[n][axis];
            found = {std::min(found.low, at), std::max(found.high, at)};
        }
    const auto low = static_cast<double>(field.low[axis]), count = static_cast<double>(field.count[axis]);
    return {std::max(found.low, low - 1.0), std::min(found.high, low + count)};
}

// Whether all of a box lies between the source and the panel's plane.
bool before_panel(const View& view, const Interval box[3]) {
    const double *u = view.u_step, *v = view.v_step;
    const double normal[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]};
    const auto side = [&](const double point[3]) {
        double sum = 0.0;
        for (int n = 0; n < 3; ++n) sum += normal[n] * (point[n] - view.corner[n]);
        return sum;
    };
    const double source = side(view.source);
    for (int n = 0; n < 8; ++n) {
        const double corner[3] = {n & 1 ? box[0].high : box[0].low, n & 2 ? box[1].high : box[1].low,
                                  n & 4 ? box[2].high : box[2].low};
        if (side(corner) * source <= 0.0) return false;
    }
    return true;
}

// What the panel looks at on the base plane, along one axis, of what the field casts there.
Interval wanted(const Prepared& field, const View& view, const double steps[4][3], const Plan& plan, int axis) {
    const double source = view.source[axis];
    Interval seen{INFINITY, -INFINITY}, cast{INFINITY, -INFINITY};
    for (int n = 0; n < 4; ++n) {
        const double at = source + plan.depth / steps[n][plan.axis] * steps[n][axis];
        seen = {std::min(seen.low, at), std::max(seen.high, at)};
    }
    // The slice nearest to the source casts the widest shadow, unless the source lies beside the field.
    const double nearest = plan.depth > 0.0 ? plan.depth - static_cast<double>(plan.slices - 1)
                                            : plan.depth + static_cast<double>(plan.slices - 1);
    const auto first = static_cast<double>(field.low[axis]) - 1.0;
    for (const double edge : {first, first + static_cast<double>(field.count[axis]) + 1.0})
        for (const double way : {nearest, plan.depth}) {
            const double at = source + (edge - source) * plan.depth / way;
            cast = {std::min(cast.low, at), std::max(cast.high, at)};
        }
    return {std::max(seen.low, cast.low), std::min(seen.high, cast.high)};
}

// The plan for a view along an axis. False where slices would not do what rays do: where rays start or end in the
// field, for each takes a share of its own of the slice it ends in, and where they are too oblique to the slices, as in
// a cone so wide that no one axis serves all of it.
bool make_plan(const Prepared& field, const View& view, Plan& plan) {
    double steps[4][3];
    corners(view, steps);
    const int axis = plan.axis;
    if (!(obliqueness(steps, axis) <= kOblique)) return false;
    const auto low = static_cast<double>(field.low[axis]), count = static_cast<double>(field.count[axis]);
    const double source = view.source[axis], forward = steps[0][axis] > 0.0 ? 1.0 : -1.0;
    Interval box[3];
    box[axis] = {low - 0.5, low + count - 0.5};
    if ((box[axis].low - source) * forward <= 0.0 || (box[axis].high - source) * forward <= 0.0) return false;
    plan.base = forward > 0.0 ? low + count - 1.0 : low;
    plan.depth = plan.base - source;
    plan.slices = field.count[axis];
    const int a = plan.plane.a, b = plan.plane.b;
    for (const int n : {a, b}) box[n] = reached(field, view, steps, axis, n, box[axis]);
    plan.columns = plan.rows = 0;
    if (box[a].low > box[a].high || box[b].low > box[b].high) return true;  // no ray meets the field
    if (!before_panel(view, box)) return false;

    plan.across = wanted(field, view, steps, plan, a);
    plan.down = wanted(field, view, steps, plan, b);
    if (plan.across.low > plan.across.high || plan.down.low > plan.down.high) return true;
    // Two samples more than needed on every side, for the cubic and for rounding.
    const double columns = std::ceil((plan.across.high - plan.across.low) / kSpacing) + 6.0;
    const double rows = std::ceil((plan.down.high - plan.down.low) / kSpacing) + 6.0;
    plan.across.low -= 2.5 * kSpacing;
    plan.down.low -= 2.5 * kSpacing;
    plan.columns = static_cast<std::int64_t>(columns);
    plan.rows = static_cast<std::int64_t>(rows);
    return true;
}

// Which tiles of the base plane the panel looks at, found by projecting each on the panel.
std::vector<std::uint8_t> tiles_seen(const View& view, const Plan& plan, std::int64_t bands, std::int64_t tiles) {
    // (u, v, 1) times a depth is the inverse of [u_step v_step corner - source] times a point of the base plane.
    const double *u = view.u_step, *v = view.v_step;
    double w[3];
    for (int n = 0; n < 3; ++n) w[n] = view.corner[n] - view.source[n];
    const auto triple = [](const double* x, const double* y, const double* z) {
        return x[0] * (y[1] * z[2] - y[2] * z[1]) + x[1] * (y[2] * z[0] - y[0] * z[2]) +
               x[2] * (y[0] * z[1] - y[1] * z[0]);
    };
    std::vector<std::uint8_t> seen(static_cast<std::size_t>(bands * tiles));
    for (std::int64_t band = 0; band < bands; ++band)
        for (std::int64_t tile = 0; tile < tiles; ++tile) {
            double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
            for (int n = 0; n < 4; ++n) {
                // A cubic reaches two samples beyond the tile.
                const auto column = static_cast<double>(n & 1 ? (tile + 1) * kTile + 2 : tile * kTile - 3);
                const auto row = static_cast<double>(n & 2 ? (band + 1) * kBand + 2 : band * kBand - 3);
                double point[3];
                point[plan.axis] = plan.depth;
                point[plan.plane.a] = plan.across.low + column * kSpacing - view.source[plan.plane.a];
                point[plan.plane.b] = plan.down.low + row * kSpacing - view.source[plan.plane.b];
                // Beyond the panel's horizon nothing is known, so the tile is taken.
                const double depth = triple(u, v, point) / triple(u, v, w);
                const double at[2] = {triple(point, v, w) / triple(u, v, w) / depth,
                                      triple(u, point, w) / triple(u, v, w) / depth};
                for (int k = 0; k < 2; ++k) {
                    low[k] = depth > 0.0 ? std::min(low[k], at[k]) : -INFINITY;
                    high[k] = depth > 0.0 ? std::max(high[k], at[k]) : INFINITY;
                }
            }
            seen[static_cast<std::size_t>(band * tiles + tile)] =
                high[0] >= 0.0 && low[0] <= static_cast<double>(view.columns - 1) && high[1] >= 0.0 &&
                low[1] <= static_cast<double>(view.rows - 1);
        }
    return seen;
}

Sight sight(const View& view, const Plan& plan, std::int64_t v) {
    double at[3], world[3], along[3];
    view.step(0.0, static_cast<double>(v), at);
    view.to_world(at, world);
    view.to_world(view.u_step, along);
    Sight found{};
    const auto project = [&](int axis, double start, double out[2]) {
        const double offset = (view.source[axis] - start) / kSpacing, scale = plan.depth / kSpacing;
        out[0] = offset * at[plan.axis] + scale * at[axis];
        out[1] = offset * view.u_step[plan.axis] + scale * view.u_step[axis];
    };
    project(plan.plane.a, plan.across.low, found.column);
    project(plan.plane.b, plan.down.low, found.row);
    found.depth[0] = at[plan.axis];
    found.depth[1] = view.u_step[plan.axis];
    for (int n = 0; n < 3; ++n) {
        found.path[0] += world[n] * world[n];
        found.path[1] += 2.0 * world[n] * along[n];
        found.path[2] += along[n] * along[n];
    }
    return found;
}

// Memory for vectors, not cleared: all of it is written before it is read.
class Aligned {
  public:
    explicit Aligned(std::size_t bytes) : lines_(new CacheLine[bytes / sizeof(CacheLine) + 1]) {}
    char* bytes() const { return lines_[0].bytes; }

  private:
    struct alignas(64) CacheLine {
        char bytes[64];
    };
    std::unique_ptr<CacheLine[]> lines_;
};

Lever lever(const View& view, const Plan& plan, std::int64_t v) {
    Lever found{};
    found.depth = plan.depth;
    double step[3], world[3], along[3];
    view.step(0.0, static_cast<double>(v), step);
    view.to_world(step, world);
    view.to_world(view.u_step, along);
    const int axes[3] = {plan.plane.a, plan.plane.b, plan.axis};
    double voxels[3][3];
    view.voxels(voxels);
    for (int w = 0; w < 3; ++w)
        for (int n = 0; n < 3; ++n) found.from_voxels[w][n] = voxels[w][axes[n]];
    const double starts[2] = {plan.across.low, plan.down.low};
    for (int n = 0; n < 2; ++n) {
        found.slope[n][0] = (starts[n] - view.source[axes[n]]) / plan.depth;
        found.slope[n][1] = kSpacing / plan.depth;
        for (int w = 0; w < 3; ++w) {
            found.lengthens[n][0] += view.millimetres[3 * w + axes[n]] * world[w];
            found.lengthens[n][1] += view.millimetres[3 * w + axes[n]] * along[w];
        }
    }
    return found;
}

// Piles every channel up to a picture of one or two layers, and calls look(picture, gain, channel, v) for each row of
// pixels.
template <class Look>
void pile_up(const Prepared& field, const View& view, const Plan& plan, const Kernels& kernels, int layers,
             std::int32_t threads, const Look& look) {
    const Plane plane = plan.plane;
    const std::int64_t bands = (plan.rows + kBand - 1) / kBand, tiles = (plan.columns + kTile - 1) / kTile;
    const std::int64_t groups = tiles * (kTile / kGroup), stored = field.count[plane.a];
    const int shift = field.slices(plan.axis, 0).shift;
    const auto line = [&](std::int64_t n, int axis, double start) {
        const double way = (static_cast<double>(field.low[plan.axis] + n) - view.source[plan.axis]) / plan.depth;
        const double first = view.source[axis] + way * (start - view.source[axis]);
        return Line{first - static_cast<double>(field.low[axis]) + 1.0, way * kSpacing};
    };
    std::vector<Line> rows(static_cast<std::size_t>(plan.slices));
    const std::size_t bytes = kernels.group_bytes * static_cast<std::size_t>(groups);
    const Aligned tables(bytes * static_cast<std::size_t>(plan.slices));
    share_out(plan.slices, threads, [&](std::int64_t n) {
        rows[static_cast<std::size_t>(n)] = line(n, plane.b, plan.down.low);
        kernels.lay(line(n, plane.a, plan.across.low), stored + 2, shift, groups,
                    tables.bytes() + static_cast<std::size_t>(n) * bytes);
    });
    const std::vector<std::uint8_t> seen = tiles_seen(view, plan, bands, tiles);
    Picture picture{nullptr, bands, tiles, seen.data()};
    const Aligned values(sizeof(float) * static_cast<std::size_t>(layers * picture.layer()));
    picture.values = reinterpret_cast<float*>(values.bytes());
    const Kernels::Pile pile = layers == 2 ? kernels.pile_both : kernels.pile;
    for (std::int64_t c = 0; c < field.channels; ++c) {
        const Slices slices = field.slices(plan.axis, c);
        share_out(bands, threads, [&](std::int64_t band) { pile(slices, rows.data(), tables.bytes(), picture, band); });
        const auto gain = static_cast<float>(field.step[static_cast<std::size_t>(c)] / 32767.0);
        share_out(view.rows, threads, [&](std::int64_t v) { look(picture, gain, c, v); });
    }
}

void integrate(const Prepared& field, const View& view, const Plan& plan, const Kernels& kernels, float* out,
               std::int32_t threads) {
    pile_up(field, view, plan, kernels, 1, threads,
            [&](const Picture& picture, float gain, std::int64_t c, std::int64_t v) {
                kernels.look(picture, sight(view, plan, v), gain, view.columns,
                             out + (c * view.rows + v) * view.columns);
            });
}

void differentiate(const Prepared& field, const View& view, const Plan& plan, const Kernels& kernels, float* out,
                   std::int32_t threads) {
    pile_up(field, view, plan, kernels, 2, threads,
            [&](const Picture& picture, float gain, std::int64_t c, std::int64_t v) {
                kernels.look_both(picture, sight(view, plan, v), lever(view, plan, v), gain, view.columns,
                                  out + (c * kPlanes * view.rows + v) * view.columns, view.rows * view.columns);
            });
}

const Kernels* kernels_for(std::int32_t level) {
#if defined(SKIAGRAPH_X86_KERNELS)
    if (level == 2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq"))
        return &kAvx512Kernels;
    if (level == 1 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kAvx2Kernels;
#endif
    return level == 0 ? &kPortableKernels : nullptr;
}

using Work = void (*)(const Prepared&, const View&, const Plan&, const Kernels&, float*, std::int32_t);

// Does the work where there is anything to be seen. 0 where memory is short.
std::int32_t serve(Work work, std::int64_t planes, const Prepared& field, const View& view, std::int32_t axis,
                   std::int32_t level, float* out, std::int32_t threads) {
    Plan plan(axis);
    if (!field.count[0] || !make_plan(field, view, plan) || !plan.columns) {
        std::fill(out, out + field.channels * planes * view.rows * view.columns, 0.0F);
        return 1;
    }
    try {
        work(field, view, plan, *kernels_for(level), out, threads);
        return 1;
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

}  // namespace

// A field made ready, to be freed by the caller; null where memory is short. values: [channels][k][j][i].
SKIAGRAPH_API Prepared* skiagraph_prepare(const float* values, std::int64_t channels, const std::int64_t* size_ijk,
                                          std::int32_t threads) {
    try {
        return new Prepared(values, channels, size_ijk, threads);
    } catch (const std::bad_alloc&) {
        return nullptr;
    }
}

SKIAGRAPH_API void skiagraph_release(Prepared* field) { delete field; }

// Whether every value is a number.
SKIAGRAPH_API std::int32_t skiagraph_finite(const Prepared* field) { return field->finite(); }

// The axis (0: i, 1: j, 2: k) whose slices serve a view; -1 where rays one by one are better, as for views with no more
// than `few` samples in all or less than a pixel for `worth` samples of the base plane; -2 where no one axis serves all
// of it, though one might serve a part.
SKIAGRAPH_API std::int32_t skiagraph_axis(const Prepared* field, const View* view, double few, double worth) {
    if (!field->count[0]) return 0;
    if (!field->in_range()) return -1;
    double steps[4][3];
    corners(*view, steps);
    // Of axes that are as good but for rounding, always the same one, for the sake of the copy it needs.
    constexpr double worse = 1.0 - 1e-6;
    int best = 1;
    for (const int axis : {2, 0})
        if (obliqueness(steps, axis) < worse * obliqueness(steps, best)) best = axis;
    const double pixels = static_cast<double>(view->rows) * static_cast<double>(view->columns);
    if (pixels * static_cast<double>(field->count[best]) <= few) return -1;
    Plan plan(best);
    if (!make_plan(*field, *view, plan)) return -2;
    return static_cast<double>(plan.columns) * static_cast<double>(plan.rows) > worth * pixels ? -1 : best;
}

// Makes the copy for an axis if it is not there. 0 where memory is short. values: as they were prepared.
SKIAGRAPH_API std::int32_t skiagraph_slice(Prepared* field, const float* values, std::int32_t axis,
                                           std::int32_t threads) {
    try {
        field->copy(values, axis, threads);
        return 1;
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

SKIAGRAPH_API std::int32_t skiagraph_has_slices(const Prepared* field, std::int32_t axis) {
    return field->has(axis);
}

// Whether this processor has the instructions of a level: 0 portable, 1 AVX2, 2 AVX-512.
SKIAGRAPH_API std::int32_t skiagraph_has_level(std::int32_t level) { return kernels_for(level) != nullptr; }

// out: [channels][rows][columns]. The axis as skiagraph_axis gave it, its slices made. 0 where memory is short.
SKIAGRAPH_API std::int32_t skiagraph_sliced(const Prepared* field, const View* view, std::int32_t axis,
                                            std::int32_t level, float* out, std::int32_t threads) {
    return serve(integrate, 1, *field, *view, axis, level, out, threads);
}

// out: [channels][kPlanes][rows][columns]. For the rest as skiagraph_sliced.
SKIAGRAPH_API std::int32_t skiagraph_sliced_ends(const Prepared* field, const View* view, std::int32_t axis,
                                                 std::int32_t level, float* out, std::int32_t threads) {
    return serve(differentiate, kPlanes, *field, *view, axis, level, out, threads);
}
