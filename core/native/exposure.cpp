// From masses to an image, in parts: what a spectrum makes of the masses, the quanta that arrive, how they spread, how
// they are read out. All images are [images][rows][columns].

#include "exposure.hpp"

#include <algorithm>
#include <vector>

#include "api.hpp"
#include "team.hpp"

namespace {

using skiagraph::Exposing;
using skiagraph::share_out;

constexpr std::int64_t kShare = 64 * skiagraph::kBlock;  // pixels one thread takes at a time

const Exposing& exposing(std::int32_t level) {
#if defined(SKIAGRAPH_X86_KERNELS)
    if (level == 2) return skiagraph::kAvx512Exposing;
    if (level == 1) return skiagraph::kAvx2Exposing;
#endif
    static_cast<void>(level);
    return skiagraph::kPortableExposing;
}

// work(image, first pixel, pixels) for all of the images.
template <class Work>
void for_each_share(std::int64_t images, std::int64_t pixels, std::int32_t threads, const Work& work) {
    const std::int64_t shares = (pixels + kShare - 1) / kShare;
    share_out(images * shares, threads, [&](std::int64_t item) {
        const std::int64_t first = item % shares * kShare;
        work(item / shares, first, std::min(kShare, pixels - first));
    });
}

}  // namespace

// mass: [images][materials][pixels], g/cm²; lines: [energies][materials].
SKIAGRAPH_API void skiagraph_transmit(const float* lines, const float* in_signal, const float* in_variance,
                                      std::int64_t energies, std::int64_t materials, const float* mass,
                                      std::int64_t images, std::int64_t pixels, float* signal, float* variance,
                                      std::int32_t level, std::int32_t threads) {
    const skiagraph::Beam beam{lines, in_signal, in_variance, energies, materials};
    for_each_share(images, pixels, threads, [&](std::int64_t image, std::int64_t first, std::int64_t count) {
        const std::int64_t at = image * pixels + first;
        exposing(level).transmit(beam, mass + image * materials * pixels + first, pixels, count, signal + at,
                                 variance + at);
    });
}

// photons: [images], of the open field.
SKIAGRAPH_API void skiagraph_quanta(const float* signal, const float* variance, const float* photons,
                                    std::int64_t images, std::int64_t pixels, std::uint64_t key, float* out,
                                    std::int32_t level, std::int32_t threads) {
    for_each_share(images, pixels, threads, [&](std::int64_t image, std::int64_t first, std::int64_t count) {
        const std::int64_t at = image * pixels + first;
        const skiagraph::Stream stream{key, static_cast<std::uint32_t>(image), 0};
        exposing(level).quanta(signal + at, variance + at, photons[image], stream, first, count, out + at);
    });
}

// noise, most, levels: [images], as in Readout.
SKIAGRAPH_API void skiagraph_read(const float* image, const float* noise, const float* most, const float* levels,
                                  std::int64_t images, std::int64_t pixels, std::uint64_t key, float* out,
                                  std::int32_t level, std::int32_t threads) {
    for_each_share(images, pixels, threads, [&](std::int64_t n, std::int64_t first, std::int64_t count) {
        const std::int64_t at = n * pixels + first;
        const skiagraph::Stream stream{key, static_cast<std::uint32_t>(n), 1};
        exposing(level).read(image + at, {noise[n], most[n], levels[n]}, stream, first, count, out + at);
    });
}

// A separable kernel of 2 reach + 1 taps along each axis; the border pixels go on for ever.
SKIAGRAPH_API void skiagraph_blur(const float* image, std::int64_t images, std::int64_t rows, std::int64_t columns,
                                  const float* kernel_v, std::int64_t reach_v, const float* kernel_u,
                                  std::int64_t reach_u, float* out, std::int32_t level, std::int32_t threads) {
    constexpr std::int64_t band = 16;
    const std::int64_t bands = (rows + band - 1) / band;
    const std::int64_t taps_v = 2 * reach_v + 1, taps_u = 2 * reach_u + 1;
    share_out(images * bands, threads, [&](std::int64_t item) {
        const float* from = image + item / bands * rows * columns;
        float* to = out + item / bands * rows * columns;
        std::vector<const float*> at(static_cast<std::size_t>(std::max(taps_v, taps_u)));
        std::vector<float> padded(static_cast<std::size_t>(columns + 2 * reach_u));
        const std::int64_t first = item % bands * band;
        for (std::int64_t v = first; v < std::min(first + band, rows); ++v) {
            for (std::int64_t t = 0; t < taps_v; ++t)
                at[static_cast<std::size_t>(t)] =
                    from + std::clamp<std::int64_t>(v + t - reach_v, 0, rows - 1) * columns;
            float* row = padded.data() + reach_u;
            exposing(level).sum(at.data(), kernel_v, taps_v, columns, row);
            std::fill(padded.data(), row, row[0]);
            std::fill(row + columns, row + columns + reach_u, row[columns - 1]);
            for (std::int64_t t = 0; t < taps_u; ++t) at[static_cast<std::size_t>(t)] = padded.data() + t;
            exposing(level).sum(at.data(), kernel_u, taps_u, columns, to + v * columns);
        }
    });
}
