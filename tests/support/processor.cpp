// A GPU's driver that runs the kernels of joseph.cu on the processor, one thread after the other, so that all but the
// chip itself can be tested anywhere: the four calls that drr/nvrtc.py makes, with the real ones' signatures.

#include <cmath>
#include <cstring>
#include <tuple>
#include <utility>

#define __device__
#define __global__
#define __launch_bounds__(threads)

namespace {

struct Index {
    unsigned x;
};
thread_local Index blockIdx, threadIdx;

float __ldg(const float* at) { return *at; }

float __fadd_rd(float a, float b) {
    const double sum = static_cast<double>(a) + b;
    const float near = static_cast<float>(sum);
    return near > sum ? std::nextafter(near, -HUGE_VALF) : near;
}

int __float_as_int(float x) {
    int bits;
    std::memcpy(&bits, &x, sizeof bits);
    return bits;
}

}  // namespace

#include "joseph.cu"

namespace {

template <class... Arguments, std::size_t... N>
void run(void (*kernel)(Arguments...), unsigned blocks, unsigned threads, void** at, std::index_sequence<N...>) {
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        for (threadIdx.x = 0; threadIdx.x < threads; ++threadIdx.x) kernel(*static_cast<Arguments*>(at[N])...);
}

template <auto Kernel>
struct Launch;
template <class... Arguments, void (*Kernel)(Arguments...)>
struct Launch<Kernel> {
    static void run(unsigned blocks, unsigned threads, void** at) {
        ::run(Kernel, blocks, threads, at, std::index_sequence_for<Arguments...>{});
    }
};

using Launcher = void (*)(unsigned, unsigned, void**);
constexpr int kNotFound = 500;

}  // namespace

extern "C" {

int cuModuleLoadData(void** module, const void* code) {
    if (std::strcmp(static_cast<const char*>(code), "joseph.cu")) return 200;
    static int loaded;
    *module = &loaded;
    return 0;
}

int cuModuleGetFunction(void** function, void*, const char* name) {
    const std::pair<const char*, Launcher> kernels[] = {
        {"integrate", Launch<integrate>::run},
        {"differentiate", Launch<differentiate>::run},
        {"transmit", Launch<transmit>::run},
    };
    for (const auto& [known, launcher] : kernels)
        if (!std::strcmp(known, name)) {
            *function = reinterpret_cast<void*>(launcher);
            return 0;
        }
    return kNotFound;
}

int cuLaunchKernel(void* function, unsigned blocks, unsigned, unsigned, unsigned threads, unsigned, unsigned, unsigned,
                   void*, void** arguments, void**) {
    reinterpret_cast<Launcher>(function)(blocks, threads, arguments);
    return 0;
}

int cuGetErrorString(int status, const char** words) {
    *words = status == kNotFound ? "named symbol not found" : "device kernel image is invalid";
    return 0;
}
}
