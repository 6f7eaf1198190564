// A simulated NVRTC (libnvrtc.so) of the version VERSION, such as 13000, which compiles to nothing: to text that the simulated
// driver loads. It appends the architectures that are compiled for to the file FAKE_CUDA_LOG.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

struct Program {
    std::string output;
};

static const int ARCHITECTURES[] = {75, 80, 86, 87, 88, 89, 90, 100, 103, 110, 120, 121};
static const int COUNT = sizeof ARCHITECTURES / sizeof *ARCHITECTURES;

extern "C" {
int nvrtcVersion(int *major, int *minor) { return *major = VERSION / 1000, *minor = VERSION % 1000 / 10, 0; }
const char *nvrtcGetErrorString(int error) { return error == 5 ? "NVRTC_ERROR_INVALID_OPTION" : "NVRTC_ERROR_IMAGINARY"; }
int nvrtcGetNumSupportedArchs(int *count) { return *count = COUNT, 0; }
int nvrtcGetSupportedArchs(int *architectures) { return memcpy(architectures, ARCHITECTURES, sizeof ARCHITECTURES), 0; }
int nvrtcCreateProgram(Program **program, const char *, const char *, int, const char *const *, const char *const *) {
    return *program = new Program, 0;
}
int nvrtcDestroyProgram(Program **program) { return delete *program, *program = nullptr, 0; }
int nvrtcCompileProgram(Program *program, int count, const char *const *options) {
    const char *prefix = "--gpu-architecture=";
    for (int i = 0; i < count; i++) {
        if (strncmp(options[i], prefix, strlen(prefix))) continue;
        std::string architecture = options[i] + strlen(prefix);
        if (FILE *log = getenv("FAKE_CUDA_LOG") ? fopen(getenv("FAKE_CUDA_LOG"), "a") : nullptr) {
            fprintf(log, "0 compile %s\n", architecture.c_str());
            fclose(log);
        }
        std::string number = architecture.substr(architecture.find('_') + 1);
        char version[64];
        snprintf(version, sizeof version, "\n.version %d.%d\n", VERSION / 1000 - 4, VERSION % 1000 / 10);
        program->output = architecture[0] == 's' ? "\177ELF simulated NVRTC " + std::to_string(VERSION / 1000)
                                                 : "// simulated" + std::string(version) + ".target sm_" + number;
        for (int known : ARCHITECTURES)
            if (number == std::to_string(known)) return 0;
    }
    return 5;
}
static int size_of(Program *program, size_t *size) { return *size = program->output.size() + 1, 0; }
static int read(Program *program, char *to) {
    return memcpy(to, program->output.c_str(), program->output.size() + 1), 0;
}
int nvrtcGetPTXSize(Program *program, size_t *size) { return size_of(program, size); }
int nvrtcGetPTX(Program *program, char *to) { return read(program, to); }
int nvrtcGetCUBINSize(Program *program, size_t *size) { return size_of(program, size); }
int nvrtcGetCUBIN(Program *program, char *to) { return read(program, to); }
int nvrtcGetProgramLogSize(Program *, size_t *size) { return *size = 8, 0; }
int nvrtcGetProgramLog(Program *, char *to) { return memcpy(to, "refused", 8), 0; }
}
