// One step of a sum that is the same in every run and on every GPU: out[i] is the sum of in[i], in[i + partials],
// in[i + 2 * partials], and so on, in this order. It is run with fewer and fewer partial sums until one is left, so
// that no result depends on which block is the first. Neighbouring threads read neighbouring numbers.

template <typename Number>
__device__ __forceinline__ void wf_sum(const Number *__restrict__ in, wf_rows rows, wf_rows partials,
                                       double *__restrict__ out) {
    const wf_rows first = (wf_rows)blockIdx.x * blockDim.x + threadIdx.x;
    const wf_rows step = (wf_rows)gridDim.x * blockDim.x;
    for (wf_rows partial = first; partial < partials; partial += step) {
        double sum = 0;
#pragma unroll 8
        for (wf_rows row = partial; row < rows; row += partials) sum += in[row];
        out[partial] = sum;
    }
}

extern "C" __global__ void __launch_bounds__(WF_THREADS)
    sum_f64(const double *__restrict__ in, wf_rows rows, wf_rows partials, double *__restrict__ out) {
    wf_sum(in, rows, partials, out);
}

// Sums of f32 are kept in f64, as DataFusion keeps them.
extern "C" __global__ void __launch_bounds__(WF_THREADS)
    sum_f32(const float *__restrict__ in, wf_rows rows, wf_rows partials, double *__restrict__ out) {
    wf_sum(in, rows, partials, out);
}
