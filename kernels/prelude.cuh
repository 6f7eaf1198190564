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

// 1 with the sign of x; +0 for a zero of either sign, the positive NaN for NaN.
__device__ __forceinline__ double wf_signum(double x) {
    return x == 0.0 ? 0.0 : x != x ? __longlong_as_double(0x7ff8000000000000LL) : copysign(1.0, x);
}
__device__ __forceinline__ float wf_signum(float x) {
    return x == 0.0f ? 0.0f : x != x ? __int_as_float(0x7fc00000) : copysignf(1.0f, x);
}

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

// Integer ops, which wrap around: computed in the unsigned type of the same width, where overflow is defined.
template <typename Integer> struct wf_unsigned;
template <> struct wf_unsigned<int> { typedef unsigned int type; };
template <> struct wf_unsigned<long long> { typedef unsigned long long type; };

template <typename Integer> __device__ __forceinline__ Integer wf_negate(Integer x) {
    return (Integer)(0 - (typename wf_unsigned<Integer>::type)x);
}
template <typename Integer> __device__ __forceinline__ Integer wf_abs(Integer x) { return x < 0 ? wf_negate(x) : x; }
template <typename Integer> __device__ __forceinline__ Integer wf_add(Integer x, Integer y) {
    typedef typename wf_unsigned<Integer>::type Unsigned;
    return (Integer)((Unsigned)x + (Unsigned)y);
}
template <typename Integer> __device__ __forceinline__ Integer wf_subtract(Integer x, Integer y) {
    typedef typename wf_unsigned<Integer>::type Unsigned;
    return (Integer)((Unsigned)x - (Unsigned)y);
}
template <typename Integer> __device__ __forceinline__ Integer wf_multiply(Integer x, Integer y) {
    typedef typename wf_unsigned<Integer>::type Unsigned;
    return (Integer)((Unsigned)x * (Unsigned)y);
}

// The quotient and the remainder: 0 for a divisor of 0; the quotient of the smallest integer and -1 wraps around.
template <typename Integer> __device__ __forceinline__ Integer wf_divide(Integer x, Integer y) {
    return y == 0 ? 0 : y == -1 ? wf_negate(x) : x / y;
}
template <typename Integer> __device__ __forceinline__ Integer wf_remainder(Integer x, Integer y) {
    return y == 0 || y == -1 ? 0 : x % y;
}

// Shifts by the lowest bits of y, as many as a position in x needs. A shift to the right keeps the sign.
template <typename Integer> __device__ __forceinline__ Integer wf_shift_left(Integer x, Integer y) {
    return (Integer)((typename wf_unsigned<Integer>::type)x << (y & (Integer)(8 * sizeof(x) - 1)));
}
template <typename Integer> __device__ __forceinline__ Integer wf_shift_right(Integer x, Integer y) {
    return x >> (y & (Integer)(8 * sizeof(x) - 1));
}

// A float converted to an integer: truncated to the nearest integer in range, 0 for NaN. The limits are exact in both
// types of floats.
template <typename Float> __device__ __forceinline__ int wf_to_int(Float x) {
    return x >= (Float)0x1p31   ? 2147483647
           : x >= (Float)-0x1p31 ? (int)x
           : x == x              ? -2147483647 - 1
                                 : 0;
}
template <typename Float> __device__ __forceinline__ long long wf_to_long(Float x) {
    return x >= (Float)0x1p63   ? 9223372036854775807LL
           : x >= (Float)-0x1p63 ? (long long)x
           : x == x              ? -9223372036854775807LL - 1
                                 : 0;
}

// Whether an ascending table, which is not empty, has a number: a binary search without branches that differ by thread.
template <typename Integer>
__device__ __forceinline__ bool wf_in_table(const Integer *table, int count, Integer x) {
    int low = 0;
    while (count > 1) {
        int half = count >> 1;
        low += table[low + half] <= x ? half : 0;
        count -= half;
    }
    return table[low] == x;
}
