// What generated kernels use: the ops for which CUDA has no function of the same meaning. Compiled without
// contraction of multiplications and additions (--fmad=false), so that results are those of the CPU.

// Threads in a block, and bytes that a thread of a kernel written by hand reads at once. The same in
// crates/warpframe-cuda/src/kernel_source.rs.
#define WF_THREADS 256
#define WF_VECTOR_BYTES 16

typedef unsigned char wf_byte;
typedef long long wf_rows;

// Towards zero; a zero of either sign gives +0.
__device__ __forceinline__ double wf_trunc(double x) { return x == 0.0 ? 0.0 : trunc(x); }
__device__ __forceinline__ float wf_trunc(float x) { return x == 0.0f ? 0.0f : truncf(x); }

// 1 with the sign of x; +0 for a zero of either sign, NaN for NaN.
__device__ __forceinline__ double wf_signum(double x) { return x == 0.0 ? 0.0 : x != x ? x : copysign(1.0, x); }
__device__ __forceinline__ float wf_signum(float x) { return x == 0.0f ? 0.0f : x != x ? x : copysignf(1.0f, x); }

// The numbers' bits as integers in the total order of IEEE 754: all bits but the sign are turned where it is set.
__device__ __forceinline__ long long wf_order(double x) {
    long long bits = __double_as_longlong(x);
    return bits ^ (long long)((unsigned long long)(bits >> 63) >> 1);
}
__device__ __forceinline__ int wf_order(float x) {
    int bits = __float_as_int(x);
    return bits ^ (int)((unsigned int)(bits >> 31) >> 1);
}

// A bit of an Arrow bitmap.
__device__ __forceinline__ bool wf_bit(const wf_byte *bits, wf_rows row) { return bits[row >> 3] >> (row & 7) & 1; }

// Functions that CUDA has in single precision with larger errors than the op table allows: in double precision.
__device__ __forceinline__ double wf_exp(double x) { return exp(x); }
__device__ __forceinline__ float wf_exp(float x) { return (float)exp((double)x); }
__device__ __forceinline__ double wf_power(double x, double y) { return pow(x, y); }
__device__ __forceinline__ float wf_power(float x, float y) { return (float)pow((double)x, (double)y); }
__device__ __forceinline__ double wf_atan2(double y, double x) { return atan2(y, x); }
__device__ __forceinline__ float wf_atan2(float y, float x) { return (float)atan2((double)y, (double)x); }
