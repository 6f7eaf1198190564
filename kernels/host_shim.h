// The part of CUDA that generated and hand-written kernels use, for a C++ compiler: tests without a GPU run kernels on the
// CPU with it, one thread after the other.

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <utility>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct alignas(16) double2 { double x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static inline double2 make_double2(double x, double y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

struct wf_dim { unsigned int x, y, z; };
static thread_local wf_dim gridDim, blockDim, blockIdx, threadIdx;

template <typename To, typename From> static inline To wf_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "the same bits");
    To to;
    memcpy(&to, &from, sizeof(to));
    return to;
}
static inline long long __double_as_longlong(double x) { return wf_bits<long long>(x); }
static inline double __longlong_as_double(long long x) { return wf_bits<double>(x); }
static inline int __float_as_int(float x) { return wf_bits<int>(x); }
static inline float __int_as_float(int x) { return wf_bits<float>(x); }

// Runs a kernel for every thread of a grid. The arguments are pointers to values of its parameters' types, as the
// driver takes them.
template <typename... Parameters, size_t... Positions>
static void wf_run(void (*kernel)(Parameters...), unsigned int blocks, unsigned int threads, void **arguments,
                   std::index_sequence<Positions...>) {
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    for (unsigned int block = 0; block < blocks; block++)
        for (unsigned int thread = 0; thread < threads; thread++) {
            blockIdx = {block, 0, 0};
            threadIdx = {thread, 0, 0};
            kernel(*(Parameters *)arguments[Positions]...);
        }
}
template <typename... Parameters>
static void wf_run(void (*kernel)(Parameters...), unsigned int blocks, unsigned int threads, void **arguments) {
    wf_run(kernel, blocks, threads, arguments, std::index_sequence_for<Parameters...>());
}
