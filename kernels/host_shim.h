// The part of CUDA that generated and hand-written kernels use, for a C++ compiler: tests without a GPU run kernels on the
// CPU with it, one thread after the other.

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utility>
#include <vector>

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

// The votes of the threads of a warp. Its threads run one after the other, twice if they vote: first each one records its
// votes, then all run again with the results. A kernel must therefore do the same in the second run: it reads nothing that it
// writes, and votes do not depend on the results of earlier ones.
static const unsigned int wf_warp_size = 32;
static thread_local std::vector<unsigned int> wf_votes;
static thread_local size_t wf_votes_of_thread;
static thread_local bool wf_votes_are_known;

// All threads of a warp take part in every vote; anything else is undefined on a GPU.
static inline void wf_check_vote(bool is_valid) {
    if (is_valid) return;
    fprintf(stderr, "the threads of a warp do not vote together\n");
    abort();
}
static inline unsigned int __ballot_sync(unsigned int mask, bool vote) {
    wf_check_vote(mask == 0xffffffffu);
    const size_t number = wf_votes_of_thread++;
    if (wf_votes_are_known) return wf_votes[number];
    const unsigned int lane = threadIdx.x % wf_warp_size;
    if (lane == 0) wf_votes.push_back(0);
    wf_check_vote(number < wf_votes.size());
    wf_votes[number] |= (unsigned int)vote << lane;
    return 0;
}

// Runs a kernel for every thread of a grid. The arguments are pointers to values of its parameters' types, as the
// driver takes them.
template <typename... Parameters, size_t... Positions>
static void wf_run(void (*kernel)(Parameters...), unsigned int blocks, unsigned int threads, void **arguments,
                   std::index_sequence<Positions...>) {
    gridDim = {blocks, 1, 1};
    blockDim = {threads, 1, 1};
    for (unsigned int block = 0; block < blocks; block++)
        for (unsigned int warp = 0; warp < threads; warp += wf_warp_size) {
            blockIdx = {block, 0, 0};
            wf_votes.clear();
            wf_votes_are_known = false;
            do {
                for (unsigned int thread = warp; thread < warp + wf_warp_size && thread < threads; thread++) {
                    threadIdx = {thread, 0, 0};
                    wf_votes_of_thread = 0;
                    kernel(*(Parameters *)arguments[Positions]...);
                    wf_check_vote(wf_votes_of_thread == wf_votes.size());
                }
                wf_votes_are_known = !wf_votes_are_known;
            } while (wf_votes_are_known && !wf_votes.empty());
        }
}
template <typename... Parameters>
static void wf_run(void (*kernel)(Parameters...), unsigned int blocks, unsigned int threads, void **arguments) {
    wf_run(kernel, blocks, threads, arguments, std::index_sequence_for<Parameters...>());
}
