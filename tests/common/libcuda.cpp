// A simulated CUDA driver (libcuda.so.1) for machines without a GPU, with the part of the driver API that warpframe
// calls. Device memory is host memory, and every call runs synchronously on the CPU. The only kernels are the shipped
// ones, which are compiled through the host shim: the shim and the kernels precede this text in the same translation
// unit. The environment variables FAKE_CUDA_* set the properties and the failures of the simulated devices.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201, NOT_FOUND = 500 };

typedef void (*Launch)(unsigned blocks, unsigned threads, void **arguments);
static void run_log3_f64(unsigned b, unsigned t, void **a) { wf_run(log3_f64, b, t, a); }
static void run_log3_f32(unsigned b, unsigned t, void **a) { wf_run(log3_f32, b, t, a); }
static void run_sum_f64(unsigned b, unsigned t, void **a) { wf_run(sum_f64, b, t, a); }
static void run_sum_f32(unsigned b, unsigned t, void **a) { wf_run(sum_f32, b, t, a); }

// Stands for kernels of all other names if FAKE_CUDA_ANY_KERNEL is set, to measure what evaluations cost without them.
static void run_noop(unsigned, unsigned, void **) {}

// The thread's current context, as cuCtxSetCurrent sets it.
static thread_local void *current_context = nullptr;
// The value of an environment variable, or a default.
static int env_int(const char *name, int fallback) {
    const char *value = getenv(name);
    return value ? atoi(value) : fallback;
}
// An error if the thread has no current context.
static int context_status() { return current_context ? SUCCESS : INVALID_CONTEXT; }

extern "C" {
int cuDriverGetVersion(int *version) { return *version = env_int("FAKE_CUDA_VERSION", 12090), SUCCESS; }
int cuInit(unsigned flags) { return flags ? INVALID_VALUE : env_int("FAKE_CUDA_INIT", SUCCESS); }
// NVRTC calls this function and works without the table.
int cuGetExportTable(const void **table, const void *) { return *table = nullptr, NOT_FOUND; }
int cuGetErrorString(int error, const char **text) {
    return *text = error == OUT_OF_MEMORY ? "out of memory" : "an imaginary error", SUCCESS;
}
int cuGetErrorName(int, const char **text) { return *text = "IMAGINARY", SUCCESS; }
int cuDeviceGetCount(int *count) { return *count = env_int("FAKE_CUDA_DEVICES", 1), SUCCESS; }
int cuDeviceGet(int *device, int ordinal) { return *device = ordinal + 40, SUCCESS; }
int cuDeviceGetName(char *name, int length, int device) {
    return snprintf(name, length, "Imaginary %d", device - 40), device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) {
    return *bytes = size_t(8) << 30, device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    int capability = env_int("FAKE_CUDA_CAPABILITY", 90);
    switch (attribute) {
    case 16: *value = 2; break;
    case 75: *value = capability / 10; break;
    case 76: *value = capability % 10; break;
    default: return INVALID_VALUE;
    }
    return device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuCtxCreate_v2(void **context, unsigned, int device) {
    return current_context = *context = malloc(1), device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuCtxDestroy_v2(void *context) { return free(context), current_context = nullptr, SUCCESS; }
int cuCtxSetCurrent(void *context) { return current_context = context, SUCCESS; }
int cuModuleLoadData(void **module, const void *image) {
    if (context_status()) return context_status();
    bool elf = !memcmp(image, "\177ELF", 4), ptx = strstr((const char *)image, ".version") != nullptr;
    return *module = malloc(1), elf || ptx ? SUCCESS : INVALID_VALUE;
}
int cuModuleUnload(void *module) { return free(module), context_status(); }
int cuModuleGetFunction(void **function, void *module, const char *name) {
    std::string wanted(name);
    Launch found = wanted == "log3_f64"   ? run_log3_f64
                   : wanted == "log3_f32" ? run_log3_f32
                   : wanted == "sum_f64"  ? run_sum_f64
                   : wanted == "sum_f32"  ? run_sum_f32
                   : getenv("FAKE_CUDA_ANY_KERNEL") ? run_noop
                                                    : nullptr;
    return *function = (void *)found, !module ? INVALID_VALUE : found ? SUCCESS : NOT_FOUND;
}
int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    if (context_status()) return context_status();
    if (bytes > size_t(env_int("FAKE_CUDA_LARGEST", 1 << 30))) return OUT_OF_MEMORY;
    return *address = (unsigned long long)aligned_alloc(256, (bytes + 255) / 256 * 256), SUCCESS;
}
int cuMemFree_v2(unsigned long long address) { return free((void *)address), context_status(); }
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    if (context_status()) return context_status();
    return *address = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096), flags == 1 ? SUCCESS : INVALID_VALUE;
}
int cuMemFreeHost(void *address) { return free(address), context_status(); }
int cuStreamCreate(void **stream, unsigned flags) {
    return *stream = malloc(1), flags == 1 ? context_status() : INVALID_VALUE;
}
int cuStreamDestroy_v2(void *stream) { return free(stream), context_status(); }
int cuStreamSynchronize(void *stream) { return stream ? context_status() : INVALID_VALUE; }
// Only events with CU_EVENT_BLOCKING_SYNC, for which threads wait without keeping a core busy.
int cuEventCreate(void **event, unsigned flags) {
    return *event = malloc(1), flags == 1 ? context_status() : INVALID_VALUE;
}
int cuEventDestroy_v2(void *event) { return free(event), context_status(); }
int cuEventRecord(void *event, void *stream) { return event && stream ? context_status() : INVALID_VALUE; }
int cuEventSynchronize(void *event) { return event ? context_status() : INVALID_VALUE; }
int cuEventElapsedTime(float *milliseconds, void *from, void *to) {
    return *milliseconds = 0.5f, from && to ? context_status() : INVALID_VALUE;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
    return memcpy((void *)to, from, bytes), stream ? context_status() : INVALID_VALUE;
}
int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
    return memcpy(to, (const void *)from, bytes), stream ? context_status() : INVALID_VALUE;
}
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void *stream) {
    return memcpy((void *)to, (const void *)from, bytes), stream ? context_status() : INVALID_VALUE;
}
int cuMemsetD8Async(unsigned long long address, unsigned char value, size_t bytes, void *stream) {
    return memset((void *)address, value, bytes), stream ? context_status() : INVALID_VALUE;
}
int cuLaunchKernel(void *function, unsigned blocks, unsigned blocks_y, unsigned blocks_z, unsigned threads,
                   unsigned threads_y, unsigned threads_z, unsigned shared, void *stream, void **arguments,
                   void **extra) {
    if (blocks_y != 1 || blocks_z != 1 || threads_y != 1 || threads_z != 1 || shared || !stream || extra)
        return INVALID_VALUE;
    return ((Launch)function)(blocks, threads, arguments), context_status();
}
}
