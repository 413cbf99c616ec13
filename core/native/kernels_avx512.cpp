// The sliced engine's loops for AVX-512 (F, BW, VL): one load brings the voxels of 32 columns, `vpermw` hands each
// column its two neighbours, `vpmaddwd` blends them. No gathers.

#include "kernels_vector.hpp"

namespace skiagraph {
namespace {

using Floats = float __attribute__((vector_size(64)));
using Integers = std::int32_t __attribute__((vector_size(64)));

struct Avx512 {
    struct alignas(64) Group {
        std::int16_t pick[2][kGroup];    // of 16 columns each: left, right, left, right ...
        std::int16_t weight[2][kGroup];  // near, far, near, far ...
        std::int32_t base;
        std::uint64_t mask;
    };

    static void pack(const Columns& columns, Group& group) {
        group.base = columns.base;
        for (int c = 0; c < kGroup; ++c) {
            const int half = c / 16, lane = 2 * (c % 16);
            group.pick[half][lane] = static_cast<std::int16_t>(columns.left[c]);
            group.pick[half][lane + 1] = static_cast<std::int16_t>(columns.left[c] + 1);
            group.weight[half][lane] = columns.near[c];
            group.weight[half][lane + 1] = columns.far[c];
        }
    }

    static void stretch(const Group& group, const std::int16_t* row, std::int64_t pitch, std::int64_t height,
                        std::int64_t ahead, float* out) {
        const __m512i pick0 = _mm512_load_si512(group.pick[0]), pick1 = _mm512_load_si512(group.pick[1]);
        const __m512i weight0 = _mm512_load_si512(group.weight[0]), weight1 = _mm512_load_si512(group.weight[1]);
        for (row += group.base; height-- > 0; row += pitch, out += kTile) {
            const __m512i voxels = _mm512_loadu_si512(row);
            _mm_prefetch(reinterpret_cast<const char*>(row + ahead), _MM_HINT_T0);
            const auto left = (Integers)_mm512_madd_epi16(_mm512_permutexvar_epi16(pick0, voxels), weight0);
            const auto right = (Integers)_mm512_madd_epi16(_mm512_permutexvar_epi16(pick1, voxels), weight1);
            _mm512_store_ps(out, __builtin_convertvector(left, Floats));
            _mm512_store_ps(out + 16, __builtin_convertvector(right, Floats));
        }
    }

    template <int Layers>
    static void add(const float* scratch, const Stretched<Layers>* slices, int count, float* top,
                    const Picture& picture) {
        add_tile<Floats, 12, 2, Layers>(scratch, slices, count, top, picture);
    }

    static constexpr auto cubic = skiagraph::cubic;
};

}  // namespace

const Kernels kAvx512Kernels = kernels<Avx512>();

}  // namespace skiagraph
