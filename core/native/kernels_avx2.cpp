// The sliced engine's loops for AVX2 with FMA: as for AVX-512, four columns to each half of a register, within which
// `vpshufb` hands them their voxels.

#include "kernels_vector.hpp"

namespace skiagraph {
namespace {

using Floats = float __attribute__((vector_size(32)));

struct Avx2 {
    static constexpr int kPart = 4;
    static constexpr int kParts = kGroup / kPart;

    struct alignas(32) Group {
        std::int8_t pick[kParts][16];  // bytes: left, right, left, right ...
        std::int16_t weight[kParts][8];
        std::int32_t base[kParts];
        std::uint64_t mask;
    };

    static void pack(const Columns& columns, Group& group) {
        for (int part = 0; part < kParts; ++part) {
            const int first = part * kPart;
            // Columns that miss the slice weigh nothing, wherever they look.
            std::int32_t low = INT32_MAX;
            for (int c = first; c < first + kPart; ++c)
                if (columns.near[c] + columns.far[c] && columns.left[c] < low) low = columns.left[c];
            if (low == INT32_MAX) low = 0;
            group.base[part] = columns.base + low;
            for (int c = 0; c < kPart; ++c) {
                const std::int32_t left = columns.left[first + c] < low ? 0 : columns.left[first + c] - low;
                for (int byte = 0; byte < 4; ++byte)
                    group.pick[part][4 * c + byte] = static_cast<std::int8_t>(2 * left + byte);
                group.weight[part][2 * c] = columns.near[first + c];
                group.weight[part][2 * c + 1] = columns.far[first + c];
            }
        }
    }

    static __m128i part(const std::int16_t* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
    static __m256i pair(const void* at) { return _mm256_load_si256(static_cast<const __m256i*>(at)); }

    static void stretch(const Group& group, const std::int16_t* row, std::int64_t pitch, std::int64_t height,
                        std::int64_t ahead, float* out) {
        for (int n = 0; n < kParts; n += 2) {
            const __m256i pick = pair(group.pick[n]), weight = pair(group.weight[n]);
            const std::int16_t *one = row + group.base[n], *two = row + group.base[n + 1];
            float* to = out + n * kPart;
            for (std::int64_t r = 0; r < height; ++r, one += pitch, two += pitch, to += kTile) {
                const __m256i voxels = _mm256_inserti128_si256(_mm256_castsi128_si256(part(one)), part(two), 1);
                const __m256i blend = _mm256_madd_epi16(_mm256_shuffle_epi8(voxels, pick), weight);
                _mm256_store_ps(to, _mm256_cvtepi32_ps(blend));
                if (n == 0) _mm_prefetch(reinterpret_cast<const char*>(one + ahead), _MM_HINT_T1);
            }
        }
    }

    template <int Layers>
    static void add(const float* scratch, const Stretched<Layers>* slices, int count, float* top,
                    const Picture& picture) {
        add_tile<Floats, 6, 2, Layers>(scratch, slices, count, top, picture);
    }

    static constexpr auto cubic = skiagraph::cubic;
};

}  // namespace

const Kernels kAvx2Kernels = kernels<Avx2>();

}  // namespace skiagraph
