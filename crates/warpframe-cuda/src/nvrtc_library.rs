//! NVRTC's library: loaded from where it is found, at its first use.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use libloading::Library;

use super::cuda_version::CudaVersion;
use super::driver::CudaError;
use super::nvrtc_search::{Found, VARIABLE, search};

type Result<T> = std::result::Result<T, CudaError>;

/// A program of NVRTC.
pub(super) type Program = *mut c_void;

/// The oldest major version that is used.
const MIN_MAJOR: u32 = 12;

/// The functions of NVRTC that are used, with NVRTC's names. All return 0 for success.
#[derive(Debug)]
struct Functions {
    version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int,
    error_string: unsafe extern "C" fn(c_int) -> *const c_char,
    architecture_count: unsafe extern "C" fn(*mut c_int) -> c_int,
    architectures: unsafe extern "C" fn(*mut c_int) -> c_int,
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        *const *const c_char,
        *const *const c_char,
    ) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, *const *const c_char) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
    outputs: [Output; 3],
}

/// The functions that return the size of an output of a program, and the output.
type Output =
    (unsafe extern "C" fn(Program, *mut usize) -> c_int, unsafe extern "C" fn(Program, *mut c_char) -> c_int);

/// What NVRTC returns for a program: the position of its functions.
#[derive(Debug, Clone, Copy)]
pub(super) enum OutputKind {
    /// PTX, with a terminating zero.
    Ptx = 0,
    /// Machine code.
    Cubin = 1,
    /// The messages of the compilation, with a terminating zero.
    Log = 2,
}

/// NVRTC.
#[derive(Debug)]
pub(super) struct NvrtcLibrary {
    functions: Functions,
    version: CudaVersion,
    path: PathBuf,
    /// Loaded as long as its functions are used.
    _libraries: (Library, Option<Library>),
}

impl NvrtcLibrary {
    /// NVRTC of this machine, searched and loaded by the first call.
    ///
    /// # Errors
    /// There is none that can be used. The message has the folders that were searched, and why found libraries are not used.
    pub fn get() -> Result<&'static Self> {
        static LIBRARY: OnceLock<Result<NvrtcLibrary>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| {
            let driver = CudaVersion::of_driver();
            let found = search(driver);
            let mut refused = Vec::new();
            for library in &found.libraries {
                match Self::load(library) {
                    Ok(library) => return Ok(library),
                    // Names for the dynamic loader, which does not find them.
                    Err(_) if !library.is_absolute() => {}
                    Err(why) => refused.push(format!("{}: {why}", library.display())),
                }
            }
            Err(missing(driver, &found, &refused))
        });
        library.as_ref().map_err(Clone::clone)
    }

    /// Loads a library, by its path or by a name for the dynamic loader.
    fn load(path: &Path) -> std::result::Result<Self, String> {
        // SAFETY: loads NVRTC, whose initialization has no effects outside of it.
        let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
        let functions = Functions::of(&library).map_err(|error| error.to_string())?;
        let (mut major, mut minor) = (0, 0);
        // SAFETY: both pointers are valid for writing an integer.
        let code = unsafe { (functions.version)(&mut major, &mut minor) };
        let version = CudaVersion { major: major.unsigned_abs(), minor: minor.unsigned_abs() };
        match (code, version.major) {
            (0, MIN_MAJOR..) => {}
            (0, _) => return Err(format!("it is NVRTC {version}, and {MIN_MAJOR} is needed")),
            (code, _) => return Err(format!("nvrtcVersion returns {code}")),
        }
        // NVRTC loads this library by its name when it compiles. It is beside NVRTC, where the loader may not search: the
        // Python packages of CUDA 13 have no run path.
        let builtins = path.parent().map(|folder| folder.join(format!("libnvrtc-builtins.so.{version}")));
        // SAFETY: the library has only data.
        let builtins =
            builtins.filter(|file| file.is_file()).and_then(|file| unsafe { Library::new(file) }.ok());
        Ok(Self { functions, version, path: path.to_owned(), _libraries: (library, builtins) })
    }

    /// The version.
    pub fn version(&self) -> CudaVersion {
        self.version
    }

    /// The file, or the name by which the dynamic loader has found it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The compute capabilities for which it generates code, such as 90 for 9.0.
    ///
    /// # Errors
    /// NVRTC fails.
    pub fn architectures(&self) -> Result<Vec<u32>> {
        let mut count = 0;
        // SAFETY: the pointer is valid for writing an integer.
        self.check(unsafe { (self.functions.architecture_count)(&mut count) })?;
        let mut architectures: Vec<c_int> = vec![0; usize::try_from(count).unwrap_or_default()];
        // SAFETY: the buffer has the length that NVRTC has returned.
        self.check(unsafe { (self.functions.architectures)(architectures.as_mut_ptr()) })?;
        Ok(architectures.into_iter().map(c_int::unsigned_abs).collect())
    }

    /// Creates a program of a source text.
    ///
    /// # Errors
    /// NVRTC fails.
    pub fn create(&self, source: &CStr) -> Result<Program> {
        let (mut program, none) = (ptr::null_mut(), ptr::null());
        // SAFETY: the pointer is valid for writing a program, and the text has a terminating zero. There are no headers.
        let code =
            unsafe { (self.functions.create)(&mut program, source.as_ptr(), ptr::null(), 0, none, none) };
        self.check(code).map(|()| program)
    }

    /// Compiles a program.
    ///
    /// # Safety
    /// The program was returned by [`create`](Self::create), and was not destroyed.
    ///
    /// # Errors
    /// The source or an option is not valid; [`OutputKind::Log`] has the messages.
    pub unsafe fn compile(&self, program: Program, options: &[&CStr]) -> Result<()> {
        let options: Vec<_> = options.iter().map(|option| option.as_ptr()).collect();
        let count = c_int::try_from(options.len()).unwrap_or_default();
        // SAFETY: the caller guarantees the program, and the options are `count` texts with terminating zeros.
        self.check(unsafe { (self.functions.compile)(program, count, options.as_ptr()) })
    }

    /// An output of a program.
    ///
    /// # Safety
    /// As [`compile`](Self::compile).
    ///
    /// # Errors
    /// The program has no such output.
    pub unsafe fn output(&self, program: Program, kind: OutputKind) -> Result<Vec<u8>> {
        let (size_of, read) = self.functions.outputs[kind as usize];
        let mut size = 0;
        // SAFETY: the caller guarantees the program, and the pointer is valid for writing an integer.
        self.check(unsafe { size_of(program, &mut size) })?;
        let mut output = vec![0u8; size];
        // SAFETY: the caller guarantees the program, and the buffer has the size that NVRTC has returned.
        self.check(unsafe { read(program, output.as_mut_ptr().cast()) })?;
        Ok(output)
    }

    /// Destroys a program.
    ///
    /// # Safety
    /// As [`compile`](Self::compile).
    pub unsafe fn destroy(&self, mut program: Program) {
        // An error is ignored: there is no way to handle it.
        // SAFETY: the caller guarantees the program, and the pointer is valid for reading and writing it.
        let _ = unsafe { (self.functions.destroy)(&mut program) };
    }

    /// Converts a result of NVRTC.
    fn check(&self, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: NVRTC accepts all codes, and returns a static text with a terminating zero, or none.
        let text = unsafe { (self.functions.error_string)(code) };
        let text = match text.is_null() {
            true => format!("error {code}"),
            // SAFETY: as above.
            false => unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned(),
        };
        Err(CudaError::Kernel(format!("NVRTC failed: {text}")))
    }
}

impl Functions {
    fn of(library: &Library) -> std::result::Result<Self, libloading::Error> {
        /// The function of a name.
        ///
        /// # Safety
        /// It has the type `F`, and the library stays loaded while it is used.
        unsafe fn get<F: Copy>(library: &Library, name: &str) -> std::result::Result<F, libloading::Error> {
            // SAFETY: the caller guarantees the type.
            unsafe { library.get::<F>(name) }.map(|function| *function)
        }
        // SAFETY: these are the signatures in nvrtc.h of CUDA 12 and 13, and `NvrtcLibrary` has the library beside them.
        unsafe {
            Ok(Self {
                version: get(library, "nvrtcVersion")?,
                error_string: get(library, "nvrtcGetErrorString")?,
                architecture_count: get(library, "nvrtcGetNumSupportedArchs")?,
                architectures: get(library, "nvrtcGetSupportedArchs")?,
                create: get(library, "nvrtcCreateProgram")?,
                compile: get(library, "nvrtcCompileProgram")?,
                destroy: get(library, "nvrtcDestroyProgram")?,
                outputs: [
                    (get(library, "nvrtcGetPTXSize")?, get(library, "nvrtcGetPTX")?),
                    (get(library, "nvrtcGetCUBINSize")?, get(library, "nvrtcGetCUBIN")?),
                    (get(library, "nvrtcGetProgramLogSize")?, get(library, "nvrtcGetProgramLog")?),
                ],
            })
        }
    }
}

/// The error of a machine without NVRTC.
fn missing(driver: Option<CudaVersion>, found: &Found, refused: &[String]) -> CudaError {
    // The packages for CUDA 12 and later versions have different names.
    let package = match driver {
        Some(CudaVersion { major: 13.., .. }) => "nvidia-cuda-nvrtc",
        _ => "nvidia-cuda-nvrtc-cu12",
    };
    let tried = match (std::env::var_os(VARIABLE), refused, found.folders.as_slice()) {
        (_, [_, ..], _) => format!("libraries that cannot be used: {}", refused.join("; ")),
        (Some(only), ..) => {
            format!("{VARIABLE} is {}, and nothing else was searched", Path::new(&only).display())
        }
        (None, [], []) => "only the dynamic loader was asked: no known folder exists".to_owned(),
        (None, [], folders) => {
            let folders: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
            format!("searched in {}", folders.join(", "))
        }
    };
    CudaError::Missing(format!(
        "there is no NVRTC, NVIDIA's run-time compiler: install the CUDA toolkit or the Python package {package}, or set \
         {VARIABLE} to the file libnvrtc.so ({tried})"
    ))
}
