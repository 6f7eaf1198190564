//! Where NVRTC's library may be: the folders of CUDA toolkits, Python packages, conda environments and distributions.

use std::collections::HashSet;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use super::cuda_version::CudaVersion;

/// The environment variable with NVRTC's library, or the folder of it. If it is set, nothing else is searched.
pub(super) const VARIABLE: &str = "WARPFRAME_NVRTC";

/// The libraries that were found, and where they were searched.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files, the preferred one first; at the end, names for the dynamic loader.
    pub libraries: Vec<PathBuf>,
    /// The folders, in the order in which they were searched.
    pub folders: Vec<PathBuf>,
}

/// Folders of Python packages (entries of `sys.path`) that are searched too.
static PYTHON_PATH: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Adds folders of Python packages, such as the entries of `sys.path`, to those in which NVRTC is searched: as the package
/// `nvidia-cuda-nvrtc` has it. It has an effect only before the first use of NVRTC.
pub fn search_python_path(folders: Vec<PathBuf>) {
    PYTHON_PATH.lock().extend(folders);
}

/// Searches NVRTC for a driver.
///
/// The order is: `LD_LIBRARY_PATH`, Python packages, the CUDA toolkit and the conda environment that environment variables
/// name, those in the usual places, the folders of distributions, the dynamic loader. The newest library of a folder is
/// first. Libraries of a later major version than the driver's come after all others, because the driver may not load what
/// they compile.
pub(super) fn search(driver: Option<CudaVersion>) -> Found {
    let mut found = Found::default();
    match env::var_os(VARIABLE).map(PathBuf::from) {
        Some(only) if only.is_dir() => found.add_folder(only),
        Some(only) => found.libraries.push(only),
        None => usual_folders().into_iter().for_each(|folder| found.add_folder(folder)),
    }
    let mut known = HashSet::new();
    found
        .libraries
        .retain(|library| known.insert(library.canonicalize().unwrap_or_else(|_| library.clone())));
    if let Some(driver) = driver {
        found.libraries.sort_by_key(|library| major(library).is_some_and(|major| major > driver.major));
    }
    if env::var_os(VARIABLE).is_none() {
        found.libraries.extend(["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"].map(PathBuf::from));
    }
    found
}

/// The folders in which NVRTC may be.
fn usual_folders() -> Vec<PathBuf> {
    let wheels =
        |packages: PathBuf| matching(&packages.join("nvidia"), "").into_iter().map(|wheel| wheel.join("lib"));
    let conda = |root: PathBuf| {
        let in_packages = packages_of(&root).into_iter().flat_map(wheels);
        [root.join("lib")].into_iter().chain(in_packages)
    };
    let mut folders = paths("LD_LIBRARY_PATH");
    folders.extend(python_packages().into_iter().flat_map(wheels));
    folders.extend(["CUDA_HOME", "CUDA_PATH"].into_iter().flat_map(paths).flat_map(toolkit));
    folders.extend(paths("CONDA_PREFIX").into_iter().flat_map(conda));
    folders.extend(toolkits().into_iter().flat_map(toolkit));
    folders.extend(conda(PathBuf::from("/opt/conda")));
    let multiarch = format!("/usr/lib/{}-linux-gnu", env::consts::ARCH);
    folders.extend([multiarch.as_str(), "/usr/lib64", "/usr/lib"].map(PathBuf::from));
    folders
}

impl Found {
    /// Adds the libraries of a folder, the newest first.
    fn add_folder(&mut self, folder: PathBuf) {
        if !folder.is_dir() || self.folders.contains(&folder) {
            return;
        }
        let mut libraries = matching(&folder, "libnvrtc.so");
        libraries.sort_by_key(|library| std::cmp::Reverse(version(library)));
        self.libraries.extend(libraries);
        self.folders.push(folder);
    }
}

/// The version at the end of a library's file name, links resolved: `libnvrtc.so.12.9.86` has the version 12.9.86.
fn version(library: &Path) -> Option<Vec<u32>> {
    let file = library.canonicalize().unwrap_or_else(|_| library.to_owned());
    let (_, version) = file.file_name()?.to_str()?.split_once(".so.")?;
    version.split('.').map(|number| number.parse().ok()).collect()
}

/// The major version of a library by its file name.
fn major(library: &Path) -> Option<u32> {
    version(library)?.first().copied()
}

/// The entries of a folder whose names begin with a prefix, in the order of their names.
fn matching(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with(prefix);
    let mut found: Vec<_> = entries.filter(named).map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// The paths of an environment variable.
fn paths(variable: &str) -> Vec<PathBuf> {
    let value = env::var_os(variable).unwrap_or_default();
    env::split_paths(&value).filter(|path| path.is_absolute()).collect()
}

/// The folders of the packages of Python environments: those that were added, the active environment's, and those of the
/// `python3` or `python` in `PATH`.
fn python_packages() -> Vec<PathBuf> {
    let mut folders = PYTHON_PATH.lock().clone();
    let mut prefixes: Vec<_> = ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().flat_map(paths).collect();
    let programs =
        |name: &str| paths("PATH").into_iter().map(|folder| folder.join(name)).find(|file| file.is_file());
    if let Some(python) = ["python3", "python"].into_iter().find_map(programs) {
        // In a virtual environment the program is a link to that of another environment, whose packages may be visible.
        let resolved = python.canonicalize().unwrap_or_else(|_| python.clone());
        prefixes.extend(
            [&python, &resolved].into_iter().filter_map(|file| Some(file.parent()?.parent()?.to_owned())),
        );
        prefixes.extend(["/usr/local", "/usr"].map(PathBuf::from));
        prefixes.extend(dirs::home_dir().map(|home| home.join(".local")));
    }
    for prefix in prefixes {
        folders.extend(packages_of(&prefix));
    }
    folders
}

/// The folders of the packages of a Python environment, which are named by the version of Python.
fn packages_of(prefix: &Path) -> Vec<PathBuf> {
    let versions = ["lib", "lib64"].into_iter().flat_map(|lib| matching(&prefix.join(lib), "python3"));
    versions
        .flat_map(|python| ["site-packages", "dist-packages"].map(|packages| python.join(packages)))
        .collect()
}

/// The library folders of a CUDA toolkit.
fn toolkit(root: PathBuf) -> [PathBuf; 2] {
    ["lib64", "lib"].map(|lib| root.join(lib))
}

/// CUDA toolkits in the usual places: the one in use, then the newest version first.
fn toolkits() -> Vec<PathBuf> {
    let number = |root: &PathBuf| -> Vec<u32> {
        let name = root.file_name().and_then(OsStr::to_str).unwrap_or_default();
        name.trim_start_matches("cuda-").split('.').map(|number| number.parse().unwrap_or(0)).collect()
    };
    let mut versions = matching(Path::new("/usr/local"), "cuda-");
    versions.sort_by_key(|root| std::cmp::Reverse(number(root)));
    let linked = ["/usr/local/cuda", "/opt/cuda", "/usr/lib/cuda"].map(PathBuf::from);
    linked.into_iter().chain(versions).collect()
}
