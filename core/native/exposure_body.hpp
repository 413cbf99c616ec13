// The loops over pixels, in blocks that compilers turn into vectors: no branches, no calls, no tables.

#pragma once

#include <cmath>
#include <cstring>
#include <vector>

#include "exposure.hpp"

namespace skiagraph {
namespace {

constexpr float kShift = 12582912.0F;  // 1.5 * 2^23: adding it rounds to an integer, kept in the lowest bits

inline float from_bits(std::uint32_t bits) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    return x;
}

inline std::uint32_t to_bits(float x) {
    std::uint32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

// e^x = 2^n e^r with |r| ≤ ln 2 / 2 and e^r by Taylor, which leaves 5e-9. Below -87 it is 0, from 88 on e^88.
inline float exponential(float x) {
    const float inside = x < -87.0F ? -87.0F : x > 88.0F ? 88.0F : x;
    const float shifted = inside * 1.44269504F + kShift, n = shifted - kShift;
    const float r = inside - n * 0.693359375F + n * 2.12194440e-4F;  // ln 2 in two parts
    float sum = 1.0F / 5040;
    sum = sum * r + 1.0F / 720;
    sum = sum * r + 1.0F / 120;
    sum = sum * r + 1.0F / 24;
    sum = sum * r + 1.0F / 6;
    sum = sum * r + 0.5F;
    sum = sum * r + 1.0F;
    sum = sum * r + 1.0F;
    const float found = sum * from_bits((to_bits(shifted) << 23) + 0x3F800000U);
    return x < -87.0F ? 0.0F : found;
}

// ln x of a normal number: x = 2^n m with m near 1, and ln m = 2 artanh((m - 1) / (m + 1)).
inline float logarithm(float x) {
    const std::uint32_t above = to_bits(x) - 0x3F3504F3U;  // √½
    const auto n = static_cast<float>(static_cast<std::int32_t>(above) >> 23);
    const float m = from_bits((above & 0x007FFFFFU) + 0x3F3504F3U);
    const float s = (m - 1.0F) / (m + 1.0F), q = s * s;
    const float series = 2.0F * s * (1.0F + q * (1.0F / 3 + q * (1.0F / 5 + q * (1.0F / 7 + q / 9))));
    return n * 0.693147181F + series;
}

// Up to kBlock numbers from memory, ones after them; and back.
inline void load(const float* from, std::int64_t count, float* block) {
    for (std::int64_t n = count; n < kBlock; ++n) block[n] = 1.0F;
    std::memcpy(block, from, static_cast<std::size_t>(count) * sizeof(float));
}

inline void store(const float* block, std::int64_t count, float* to) {
    std::memcpy(to, block, static_cast<std::size_t>(count) * sizeof(float));
}

template <class Work>
void for_each_block(std::int64_t count, const Work& work) {
    for (std::int64_t n = 0; n < count; n += kBlock) work(n, count - n < kBlock ? count - n : kBlock);
}

void transmit(const Beam& beam, const float* mass, std::int64_t pitch, std::int64_t count, float* signal,
              float* variance) {
    std::vector<float> masses(static_cast<std::size_t>(beam.materials * kBlock));
    for_each_block(count, [&](std::int64_t first, std::int64_t here) {
        for (std::int64_t m = 0; m < beam.materials; ++m)
            load(mass + m * pitch + first, here, masses.data() + m * kBlock);
        alignas(64) float s[kBlock] = {}, v[kBlock] = {}, depth[kBlock];
        for (std::int64_t k = 0; k < beam.energies; ++k) {
            const float* line = beam.lines + k * beam.materials;
            for (int n = 0; n < kBlock; ++n) depth[n] = line[0] * masses[static_cast<std::size_t>(n)];
            for (std::int64_t m = 1; m < beam.materials; ++m) {
                const float *more = masses.data() + m * kBlock, slope = line[m];
                for (int n = 0; n < kBlock; ++n) depth[n] += slope * more[n];
            }
            const float in_signal = beam.signal[k], in_variance = beam.variance[k];
            for (int n = 0; n < kBlock; ++n) {
                const float through = exponential(depth[n]);
                s[n] += in_signal * through;
                v[n] += in_variance * through;
            }
        }
        store(s, here, signal + first);
        store(v, here, variance + first);
    });
}

// Philox4x32-10 of Salmon, Moraes, Dror & Shaw 2011 (SC '11). A block of pixels takes 16 counters of four numbers
// each: pixel n is number n / 16 of counter n % 16.
inline void random_bits(const Stream& stream, std::int64_t first, std::uint32_t* bits) {
    constexpr int kCounters = kBlock / 4;
    const auto counter = static_cast<std::uint64_t>(first) / 4;
    const auto low = static_cast<std::uint32_t>(counter), high = static_cast<std::uint32_t>(counter >> 32);
    const auto key0 = static_cast<std::uint32_t>(stream.key), key1 = static_cast<std::uint32_t>(stream.key >> 32);
    for (std::uint32_t n = 0; n < kCounters; ++n) {
        std::uint32_t c0 = low + n, c1 = high, c2 = stream.image, c3 = stream.use, k0 = key0, k1 = key1;
        const auto round = [&] {
            const std::uint64_t a = std::uint64_t{0xD2511F53U} * c0, b = std::uint64_t{0xCD9E8D57U} * c2;
            c0 = static_cast<std::uint32_t>(b >> 32) ^ c1 ^ k0;
            c1 = static_cast<std::uint32_t>(b);
            c2 = static_cast<std::uint32_t>(a >> 32) ^ c3 ^ k1;
            c3 = static_cast<std::uint32_t>(a);
            k0 += 0x9E3779B9U;
            k1 += 0xBB67AE85U;
        };
        round(), round(), round(), round(), round(), round(), round(), round(), round(), round();
        bits[n] = c0;
        bits[n + kCounters] = c1;
        bits[n + 2 * kCounters] = c2;
        bits[n + 3 * kCounters] = c3;
    }
}

// 31 bits are how far the number lies from the nearer end of 0...1, the highest which end that is: so both tails of
// what is made of it reach as far, to 6.3 sigma.
inline float tail(std::uint32_t bits) {
    return static_cast<float>(static_cast<std::int32_t>(bits & 0x7FFFFFFFU)) * 0x1p-32F + 0x1p-33F;
}

// The normal quantile, by Giles 2010 ("Approximating the erfinv function", GPU Computing Gems), single precision.
inline float normal(std::uint32_t bits) {
    const float t = tail(bits), x = 1.0F - 2.0F * t;
    const float w = -logarithm(4.0F * t * (1.0F - t));
    const float a = w - 2.5F, b = std::sqrt(w > 0.0F ? w : 0.0F) - 3.0F;
    float middle = 2.81022636e-08F;
    middle = middle * a + 3.43273939e-07F;
    middle = middle * a - 3.5233877e-06F;
    middle = middle * a - 4.39150654e-06F;
    middle = middle * a + 0.00021858087F;
    middle = middle * a - 0.00125372503F;
    middle = middle * a - 0.00417768164F;
    middle = middle * a + 0.246640727F;
    middle = middle * a + 1.50140941F;
    float far = -0.000200214257F;
    far = far * b + 0.000100950558F;
    far = far * b + 0.00134934322F;
    far = far * b - 0.00367342844F;
    far = far * b + 0.00573950773F;
    far = far * b - 0.0076224613F;
    far = far * b + 0.00943887047F;
    far = far * b + 1.00167406F;
    far = far * b + 2.83297682F;
    const float size = 1.41421356F * x * (w < 5.0F ? middle : far);
    return from_bits(to_bits(size) ^ (~bits & 0x80000000U));
}

constexpr float kFew = 16.0F;    // photons expected, up to which the distribution is added up term by term
constexpr int kMostOfFew = 64;   // no more come of them but once in 10^16 times

// The Poisson quantile of many photons: whole numbers below the expansion of Giles 2016 (ACM TOMS 42:7), equation for
// the normal quantile z, to the order 1 / mean.
inline float many_photons(float mean, float z) {
    const float root = std::sqrt(mean), q = z * z;
    const float first = (2.0F + q) / 6.0F, second = -(2.0F + q) * z / 72.0F;
    const float third = ((q * 3.0F + 7.0F) * q - 16.0F) / 810.0F;
    const float found = mean + root * z + first + second / root + third / mean;
    constexpr float all_whole = 8388608.0F;  // from 2^23 on floats are whole
    const float least = found > 0.0F ? found : 0.0F, most = least < all_whole ? least : all_whole;
    return least - (most - static_cast<float>(static_cast<std::int32_t>(most)));
}

// The Poisson quantile of few photons: how many terms of the distribution lie below the random number.
void few_photons(const float* mean, const std::uint32_t* bits, float* photons) {
    double expected[kBlock], at[kBlock], term[kBlock], below[kBlock], found[kBlock];
    for (int n = 0; n < kBlock; ++n) {
        const double t = (static_cast<double>(bits[n] & 0x7FFFFFFFU) + 0.5) * 0x1p-32;
        expected[n] = mean[n] < kFew ? static_cast<double>(mean[n]) : 0.0;
        at[n] = mean[n] >= kFew ? -1.0 : bits[n] >> 31 ? 1.0 - t : t;
        found[n] = 0.0;
    }
    for (int n = 0; n < kBlock; ++n) term[n] = below[n] = std::exp(-expected[n]);
    for (int k = 1; k <= kMostOfFew; ++k) {
        const double share = 1.0 / k;
        std::int64_t more = 0;
        for (int n = 0; n < kBlock; ++n) {
            const bool one = at[n] > below[n];
            found[n] += one ? 1.0 : 0.0;
            more |= one ? 1 : 0;
            term[n] *= expected[n] * share;
            below[n] += term[n];
        }
        if (!more) break;
    }
    for (int n = 0; n < kBlock; ++n) photons[n] = mean[n] < kFew ? static_cast<float>(found[n]) : photons[n];
}

void quanta(const float* signal, const float* variance, float photons, const Stream& stream, std::int64_t first,
            std::int64_t count, float* out) {
    constexpr float tiny = 1.17549435e-38F;
    for_each_block(count, [&](std::int64_t offset, std::int64_t here) {
        alignas(64) float s[kBlock], quantum[kBlock], mean[kBlock], counted[kBlock];
        alignas(64) std::uint32_t bits[kBlock];
        load(signal + offset, here, s);
        load(variance + offset, here, quantum);
        random_bits(stream, first + offset, bits);
        int few = 0;
        for (int n = 0; n < kBlock; ++n) {
            const float at_least = s[n] > tiny ? s[n] : tiny, one = quantum[n] / at_least / photons;
            quantum[n] = one;
            mean[n] = s[n] / (one > tiny ? one : tiny);
            few += mean[n] < kFew ? 1 : 0;
        }
        for (int n = 0; n < kBlock; ++n) counted[n] = normal(bits[n]);
        for (int n = 0; n < kBlock; ++n) counted[n] = many_photons(mean[n], counted[n]);
        if (few) few_photons(mean, bits, counted);
        for (int n = 0; n < kBlock; ++n) s[n] = counted[n] * quantum[n];
        store(s, here, out + offset);
    });
}

void read(const float* image, const Readout& readout, const Stream& stream, std::int64_t first, std::int64_t count,
          float* out) {
    for_each_block(count, [&](std::int64_t offset, std::int64_t here) {
        alignas(64) float x[kBlock];
        alignas(64) std::uint32_t bits[kBlock];
        load(image + offset, here, x);
        if (readout.noise > 0.0F) {
            random_bits(stream, first + offset, bits);
            for (int n = 0; n < kBlock; ++n) x[n] += readout.noise * normal(bits[n]);
        }
        for (int n = 0; n < kBlock; ++n) {
            const float least = x[n] < 0.0F ? 0.0F : x[n];
            x[n] = least > readout.most ? readout.most : least;
        }
        if (readout.levels > 0.0F)
            for (int n = 0; n < kBlock; ++n) x[n] = (x[n] * readout.levels + kShift - kShift) / readout.levels;
        store(x, here, out + offset);
    });
}

void sum(const float* const* at, const float* weights, std::int64_t taps, std::int64_t count, float* out) {
    for_each_block(count, [&](std::int64_t first, std::int64_t here) {
        alignas(64) float total[kBlock] = {};
        if (here == kBlock) {
            for (std::int64_t t = 0; t < taps; ++t)
                for (int n = 0; n < kBlock; ++n) total[n] += weights[t] * at[t][first + n];
        } else {
            for (std::int64_t t = 0; t < taps; ++t)
                for (std::int64_t n = 0; n < here; ++n) total[n] += weights[t] * at[t][first + n];
        }
        store(total, here, out + first);
    });
}

constexpr Exposing kExposing{transmit, quanta, read, sum};

}  // namespace
}  // namespace skiagraph
