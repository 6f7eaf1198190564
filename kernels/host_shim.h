// Just enough of CUDA to compile kernels for the CPU and run them there, one thread after the other: what the
// tests do where there is no GPU.

#include <math.h>
#include <string.h>

#define __global__
#define __device__
#define __forceinline__ inline

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

// Runs a call of a kernel for every thread of a grid.
template <typename Call> static void wf_launch(unsigned int blocks, unsigned int threads, Call call) {
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    for (unsigned int block = 0; block < blocks; block++)
        for (unsigned int thread = 0; thread < threads; thread++) {
            blockIdx = {block, 0, 0};
            threadIdx = {thread, 0, 0};
            call();
        }
}
