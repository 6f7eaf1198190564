// log3(x, y, z) = ln(x) * ln(y) * ln(z), row by row: each thread takes WF_VECTOR_BYTES of every column at a time,
// and the grid strides over the rows. Columns are aligned to that on the GPU. What is left at the end, less than one
// vector, goes to the first threads. Nulls are the union of the columns' and don't come here.

__device__ __forceinline__ double wf_log3(double x, double y, double z) { return log(x) * log(y) * log(z); }
__device__ __forceinline__ float wf_log3(float x, float y, float z) { return logf(x) * logf(y) * logf(z); }

__device__ __forceinline__ double2 wf_log3(double2 x, double2 y, double2 z) {
    return make_double2(wf_log3(x.x, y.x, z.x), wf_log3(x.y, y.y, z.y));
}
__device__ __forceinline__ float4 wf_log3(float4 x, float4 y, float4 z) {
    return make_float4(wf_log3(x.x, y.x, z.x), wf_log3(x.y, y.y, z.y), wf_log3(x.z, y.z, z.z),
                       wf_log3(x.w, y.w, z.w));
}

template <typename Number, typename Vector>
__device__ __forceinline__ void wf_log3_rows(const Number *__restrict__ x, const Number *__restrict__ y,
                                             const Number *__restrict__ z, wf_rows rows, Number *__restrict__ out) {
    const wf_rows width = WF_VECTOR_BYTES / sizeof(Number);
    const wf_rows vectors = rows / width;
    const wf_rows first = (wf_rows)blockIdx.x * blockDim.x + threadIdx.x;
    const wf_rows step = (wf_rows)gridDim.x * blockDim.x;
    const Vector *xs = (const Vector *)x, *ys = (const Vector *)y, *zs = (const Vector *)z;
    for (wf_rows vector = first; vector < vectors; vector += step)
        ((Vector *)out)[vector] = wf_log3(xs[vector], ys[vector], zs[vector]);
    for (wf_rows row = vectors * width + first; row < rows; row += step) out[row] = wf_log3(x[row], y[row], z[row]);
}

extern "C" __global__ void __launch_bounds__(WF_THREADS)
    log3_f64(const double *__restrict__ x, const double *__restrict__ y, const double *__restrict__ z, wf_rows rows,
             double *__restrict__ out) {
    wf_log3_rows<double, double2>(x, y, z, rows, out);
}

extern "C" __global__ void __launch_bounds__(WF_THREADS)
    log3_f32(const float *__restrict__ x, const float *__restrict__ y, const float *__restrict__ z, wf_rows rows,
             float *__restrict__ out) {
    wf_log3_rows<float, float4>(x, y, z, rows, out);
}
