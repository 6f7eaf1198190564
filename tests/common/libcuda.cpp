// CUDA's driver without a GPU, for programs that load libcuda.so.1: as much of it as warpframe calls. It does
// everything at once and on the CPU; of kernels it has those that come with the program, compiled through the host
// shim, which goes before this text together with them. What it pretends to be is in the environment.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, NOT_FOUND = 500 };

typedef void (*Run)(unsigned blocks, unsigned threads, void **arguments);
static void run_log3_f64(unsigned b, unsigned t, void **a) { wf_run(log3_f64, b, t, a); }
static void run_log3_f32(unsigned b, unsigned t, void **a) { wf_run(log3_f32, b, t, a); }
static void run_sum_f64(unsigned b, unsigned t, void **a) { wf_run(sum_f64, b, t, a); }
static void run_sum_f32(unsigned b, unsigned t, void **a) { wf_run(sum_f32, b, t, a); }

// For programs that only want to know how long it takes.
static void run_nothing(unsigned, unsigned, void **) {}

static thread_local void *current = nullptr;
static int number(const char *name, int otherwise) {
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}
static int inside() { return current ? SUCCESS : INVALID_CONTEXT; }

extern "C" {
int cuDriverGetVersion(int *version) { return *version = number("FAKE_CUDA_VERSION", 12090), SUCCESS; }
int cuInit(unsigned flags) { return flags ? INVALID_VALUE : number("FAKE_CUDA_INIT", SUCCESS); }
// NVRTC asks for it, and goes on without.
int cuGetExportTable(const void **table, const void *) { return *table = nullptr, NOT_FOUND; }
int cuGetErrorString(int error, const char **text) {
    return *text = error == OUT_OF_MEMORY ? "out of memory" : "an imaginary error", SUCCESS;
}
int cuGetErrorName(int, const char **text) { return *text = "IMAGINARY", SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = number("FAKE_CUDA_DEVICES", 1), SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal + 40, SUCCESS; }
int cuDeviceGetName(char *name, int length, int device) {
    return snprintf(name, length, "Imaginary %d", device - 40), device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    return *bytes = size_t(8) << 30, device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int capability = number("FAKE_CUDA_CAPABILITY", 90);
    switch (attribute) {
    case 16: *value = 2; break;
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    default: return INVALID_VALUE;
    }
    return device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuCtxCreate_v2(void **context, unsigned, int device) {
    return current = *context = malloc(1), device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuCtxDestroy_v2(void *context) { return free(context), current = nullptr, SUCCESS; }
int cuCtxSetCurrent(void *context) { return current = context, SUCCESS; }
int cuModuleLoadData(void **module, const void *image) {
    if (inside()) return inside();
    bool elf = !memcmp(image, "\177ELF", 4), ptx = strstr((const char *)image, ".version") != nullptr;
    return *module = malloc(1), elf || ptx ? SUCCESS : INVALID_VALUE;
}
int cuModuleUnload(void *module) { return free(module), inside(); }
int cuModuleGetFunction(void **function, void *module, const char *name) {
    std::string wanted(name);
    Run found = wanted == "log3_f64"   ? run_log3_f64
                : wanted == "log3_f32" ? run_log3_f32
                : wanted == "sum_f64"  ? run_sum_f64
                : wanted == "sum_f32"  ? run_sum_f32
                : getenv("FAKE_CUDA_ANY_KERNEL") ? run_nothing
                                                 : nullptr;
    return *function = (void *)found, !module ? INVALID_VALUE : found ? SUCCESS : NOT_FOUND;
}
int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    if (inside()) return inside();
    if (bytes > size_t(number("FAKE_CUDA_LARGEST", 1 << 30))) return OUT_OF_MEMORY;
    return *address = (unsigned long long)aligned_alloc(256, (bytes + 255) / 256 * 256), SUCCESS;
}
int cuMemFree_v2(unsigned long long address) { return free((void *)address), inside(); }
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    if (inside()) return inside();
    return *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096), flags == 1 ? SUCCESS : INVALID_VALUE;
}
int cuMemFreeHost(void *address) { return free(address), inside(); }
int cuStreamCreate(void **stream, unsigned flags) {
    return *stream = malloc(1), flags == 1 ? inside() : INVALID_VALUE;
}
int cuStreamDestroy_v2(void *stream) { return free(stream), inside(); }
int cuStreamSynchronize(void *stream) { return stream ? inside() : INVALID_VALUE; }
int cuEventCreate(void **event, unsigned) { return *event = malloc(1), inside(); }
int cuEventDestroy_v2(void *event) { return free(event), inside(); }
int cuEventRecord(void *event, void *stream) { return event && stream ? inside() : INVALID_VALUE; }
int cuEventSynchronize(void *event) { return event ? inside() : INVALID_VALUE; }
int cuEventElapsedTime(float *milliseconds, void *from, void *to) {
    return *milliseconds = 0.5f, from && to ? inside() : INVALID_VALUE;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
    return memcpy((void *)to, from, bytes), stream ? inside() : INVALID_VALUE;
}
int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
    return memcpy(to, (const void *)from, bytes), stream ? inside() : INVALID_VALUE;
}
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void *stream) {
    return memcpy((void *)to, (const void *)from, bytes), stream ? inside() : INVALID_VALUE;
}
int cuMemsetD8Async(unsigned long long address, unsigned char value, size_t bytes, void *stream) {
    return memset((void *)address, value, bytes), stream ? inside() : INVALID_VALUE;
}
int cuLaunchKernel(void *function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
                   unsigned threads_y, unsigned threads_z, unsigned shared, void *stream, void **arguments,
                   void **extra) {
    if (blocks_y != 1 || blocks_z != 1 || threads_y != 1 || threads_z != 1 || shared || !stream || extra)
        return INVALID_VALUE;
    return ((Run)function)(blocks, threads, arguments), inside();
}
}
