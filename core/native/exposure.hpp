// What follows the line integrals, pixel by pixel: four loops, each written once in exposure_body.hpp and compiled for
// several instruction sets.

#pragma once

#include <cstdint>

namespace skiagraph {

// Energies that stand for a spectrum. Of the masses A, the energy k lets exp(Σ lines[k][m] A[m]) through.
struct Beam {
    const float* lines;  // [energies][materials], cm²/g, negative
    const float* signal;
    const float* variance;
    std::int64_t energies, materials;
};

// Random numbers of one image: number n is the same whoever asks, whenever.
struct Stream {
    std::uint64_t key;
    std::uint32_t image, use;
};

// How one image is read out, in open fields.
struct Readout {
    float noise;   // root mean square
    float most;    // where it saturates
    float levels;  // of the converter in an open field; 0 does not round
};

struct Exposing {
    // mass: [materials], each `pitch` numbers after the one before.
    void (*transmit)(const Beam& beam, const float* mass, std::int64_t pitch, std::int64_t count, float* signal,
                     float* variance);
    // `first` is a multiple of kBlock: where in its image the first pixel lies.
    void (*quanta)(const float* signal, const float* variance, float photons, const Stream& stream, std::int64_t first,
                   std::int64_t count, float* out);
    void (*read)(const float* image, const Readout& readout, const Stream& stream, std::int64_t first,
                 std::int64_t count, float* out);
    // out[n] = Σ weights[t] at[t][n]
    void (*sum)(const float* const* at, const float* weights, std::int64_t taps, std::int64_t count, float* out);
};

constexpr int kBlock = 64;  // pixels worked on together: four vectors of AVX-512

extern const Exposing kPortableExposing;
#if defined(SKIAGRAPH_X86_KERNELS)
extern const Exposing kAvx2Exposing;
extern const Exposing kAvx512Exposing;
#endif

}  // namespace skiagraph
