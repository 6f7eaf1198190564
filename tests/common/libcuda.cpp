// A simulated CUDA driver (libcuda.so.1) for machines without a GPU, with the part of the driver API that warpframe
// calls. Device memory is host memory, and every call runs synchronously on the CPU. The only kernels are the shipped
// ones, which are compiled through the host shim: the shim and the kernels precede this text in the same translation
// unit. The environment variables FAKE_CUDA_* set the properties and the failures of the simulated devices;
// FAKE_CUDA_LOG is a file to which the calls that need a context are appended, with their threads.

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <mutex>
#include <string>
#include <unistd.h>
#include <vector>

enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NO_DEVICE = 100,
    INVALID_CONTEXT = 201,
    NO_BINARY_FOR_GPU = 209,
    UNSUPPORTED_PTX_VERSION = 222,
    NOT_FOUND = 500,
    ILLEGAL_ADDRESS = 700
};

typedef void (*Launch)(unsigned blocks, unsigned threads, void **arguments);
static void run_log3_f64(unsigned b, unsigned t, void **a) { wf_run(log3_f64, b, t, a); }
static void run_log3_f32(unsigned b, unsigned t, void **a) { wf_run(log3_f32, b, t, a); }
static void run_sum_f64(unsigned b, unsigned t, void **a) { wf_run(sum_f64, b, t, a); }
static void run_sum_f32(unsigned b, unsigned t, void **a) { wf_run(sum_f32, b, t, a); }
// The kernels of the calibration are generated. Where their source is not at hand, they are as kernels of other names.
#ifndef WITHOUT_CALIBRATION
static void run_cheap_f64(unsigned b, unsigned t, void **a) { wf_run(calibration_cheap_f64, b, t, a); }
static void run_costly_f64(unsigned b, unsigned t, void **a) { wf_run(calibration_costly_f64, b, t, a); }
static void run_cheap_f32(unsigned b, unsigned t, void **a) { wf_run(calibration_cheap_f32, b, t, a); }
static void run_costly_f32(unsigned b, unsigned t, void **a) { wf_run(calibration_costly_f32, b, t, a); }
#endif

// Stands for kernels of all other names if FAKE_CUDA_ANY_KERNEL is set, to measure what evaluations cost without them.
static void run_noop(unsigned, unsigned, void **) {}

// The thread's stack of contexts. The last one is current.
static thread_local std::vector<void *> contexts;
// The primary context of each device, and the number of references to it.
static std::mutex primary_lock;
static struct { void *context; int references; } primary[16];
// The error that all calls return, once there was one that the process cannot recover from.
static std::atomic<int> sticky{SUCCESS};
// The value of an environment variable, or a default.
static int env_int(const char *name, int fallback) {
    const char *value = getenv(name);
    return value ? atoi(value) : fallback;
}
// Appends a line to the log.
static void log_call(const std::string &call) {
    const char *path = getenv("FAKE_CUDA_LOG");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file < 0) return;
    std::string line = std::to_string(gettid()) + " " + call + "\n";
    if (write(file, line.data(), line.size()) < 0) perror(path);
    close(file);
}
// The status of a call that needs a context. FAKE_CUDA_FAIL is the name of a function and the error that it returns,
// such as cuLaunchKernel:700.
static int status(const std::string &function) {
    log_call(function);
    if (sticky) return sticky;
    const char *fail = getenv("FAKE_CUDA_FAIL");
    if (fail && !strncmp(fail, (function + ":").c_str(), function.size() + 1)) {
        int error = atoi(fail + function.size() + 1);
        if (error == 214 || error >= ILLEGAL_ADDRESS && error != 701) sticky = error;
        return error;
    }
    return contexts.empty() || !contexts.back() ? INVALID_CONTEXT : SUCCESS;
}
#define context_status() status(__func__)

// Whether the driver loads PTX: whether its version is one of the driver's version of CUDA.
static int ptx_status(const char *ptx) {
    int major = 0, minor = 0, version = env_int("FAKE_CUDA_VERSION", 12090);
    const char *stated = strstr(ptx, ".version ");
    if (!stated || sscanf(stated, ".version %d.%d", &major, &minor) != 2) return INVALID_VALUE;
    int cuda_minor = version % 1000 / 10;
    int latest = version < 13000 ? 80 + cuda_minor - (cuda_minor > 5) : 10 * (version / 1000 - 4) + cuda_minor;
    log_call("ptx " + std::to_string(major) + "." + std::to_string(minor));
    return 10 * major + minor > latest ? UNSUPPORTED_PTX_VERSION : SUCCESS;
}
// Whether the driver loads machine code: whether it is not by the simulated NVRTC of a later major version.
static int cubin_status(const char *cubin) {
    int version = 0;
    log_call("cubin");
    if (getenv("FAKE_CUDA_REFUSE_CUBIN")) return NO_BINARY_FOR_GPU;
    bool later = sscanf(cubin, "\177ELF simulated NVRTC %d", &version) == 1 && version > env_int("FAKE_CUDA_VERSION", 12090) / 1000;
    return later ? NO_BINARY_FOR_GPU : SUCCESS;
}

extern "C" {
int cuDriverGetVersion(int *version) { return *version = env_int("FAKE_CUDA_VERSION", 12090), SUCCESS; }
int cuInit(unsigned flags) { return flags ? INVALID_VALUE : env_int("FAKE_CUDA_INIT", SUCCESS); }
// NVRTC calls this function and works without the table.
int cuGetExportTable(const void **table, const void *) { return *table = nullptr, NOT_FOUND; }
int cuGetErrorString(int error, const char **text) {
    return *text = error == OUT_OF_MEMORY             ? "out of memory"
                   : error == ILLEGAL_ADDRESS         ? "an illegal memory access was encountered"
                   : error == NO_BINARY_FOR_GPU       ? "no kernel image is available for execution on the device"
                   : error == UNSUPPORTED_PTX_VERSION ? "the provided PTX was compiled with an unsupported toolchain."
                                                      : "an imaginary error",
           SUCCESS;
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
// Makes all later calls that need a context return an error, as after a fault of a kernel.
void fake_cuda_fail(int error) { sticky = error; }
int cuCtxCreate_v2(void **context, unsigned, int device) {
    log_call(__func__);
    return contexts.push_back(*context = malloc(1)), device >= 40 ? SUCCESS : INVALID_VALUE;
}
int cuCtxDestroy_v2(void *context) { return free(context), contexts.pop_back(), SUCCESS; }
int cuCtxSetCurrent(void *context) {
    log_call(__func__);
    if (!contexts.empty()) contexts.pop_back();
    return contexts.push_back(context), SUCCESS;
}
int cuCtxGetCurrent(void **context) { return *context = contexts.empty() ? nullptr : contexts.back(), SUCCESS; }
int cuCtxPushCurrent_v2(void *context) {
    log_call(__func__);
    return context ? contexts.push_back(context), SUCCESS : INVALID_CONTEXT;
}
int cuCtxPopCurrent_v2(void **context) {
    log_call(__func__);
    if (contexts.empty()) return INVALID_CONTEXT;
    return *context = contexts.back(), contexts.pop_back(), SUCCESS;
}
int cuDevicePrimaryCtxRetain(void **context, int device) {
    std::lock_guard<std::mutex> guard(primary_lock);
    log_call(__func__);
    if (device < 40 || device >= 56) return INVALID_VALUE;
    if (sticky) return sticky;
    auto &of_device = primary[device - 40];
    if (!of_device.references++) of_device.context = malloc(1);
    return *context = of_device.context, SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int device) {
    std::lock_guard<std::mutex> guard(primary_lock);
    log_call(__func__);
    if (device < 40 || device >= 56 || !primary[device - 40].references) return INVALID_VALUE;
    if (!--primary[device - 40].references) free(primary[device - 40].context);
    return SUCCESS;
}
int cuModuleLoadData(void **module, const void *image) {
    if (int error = context_status()) return error;
    const char *text = (const char *)image;
    return *module = malloc(1), !memcmp(text, "\177ELF", 4) ? cubin_status(text) : ptx_status(text);
}
int cuModuleUnload(void *module) { return free(module), context_status(); }
int cuModuleGetFunction(void **function, void *module, const char *name) {
    std::string wanted(name);
    Launch found = wanted == "log3_f64"   ? run_log3_f64
                   : wanted == "log3_f32" ? run_log3_f32
                   : wanted == "sum_f64"  ? run_sum_f64
                   : wanted == "sum_f32"  ? run_sum_f32
#ifndef WITHOUT_CALIBRATION
                   : wanted == "calibration_cheap_f64"  ? run_cheap_f64
                   : wanted == "calibration_costly_f64" ? run_costly_f64
                   : wanted == "calibration_cheap_f32"  ? run_cheap_f32
                   : wanted == "calibration_costly_f32" ? run_costly_f32
#endif
                   : getenv("FAKE_CUDA_ANY_KERNEL") ? run_noop
                                                    : nullptr;
    return *function = (void *)found, !module ? INVALID_VALUE : found ? SUCCESS : NOT_FOUND;
}
int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
    if (int error = context_status()) return error;
    if (bytes > size_t(env_int("FAKE_CUDA_LARGEST", 1 << 30))) return OUT_OF_MEMORY;
    return *address = (unsigned long long)aligned_alloc(256, (bytes + 255) / 256 * 256), SUCCESS;
}
int cuMemFree_v2(unsigned long long address) { return free((void *)address), context_status(); }
int cuMemHostAlloc(void **address, size_t bytes, unsigned flags) {
    if (int error = context_status()) return error;
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
    if (int error = context_status()) return error;
    // A fault: the sum of numbers at an address in the first page. Calls after the launch report it.
    if ((Launch)function == run_sum_f64 && *(size_t *)arguments[0] < 4096) return sticky = ILLEGAL_ADDRESS, SUCCESS;
    return ((Launch)function)(blocks, threads, arguments), SUCCESS;
}
}
