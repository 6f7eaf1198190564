//! The forms in which a driver loads a kernel, and which of them suit a GPU, a driver and NVRTC.

use std::fmt;

use super::cuda_version::CudaVersion;

/// A form in which a driver loads a kernel. Its text is the architecture that NVRTC compiles for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageForm {
    /// Machine code for GPUs of a compute capability, such as 90 for 9.0.
    Cubin(u32),
    /// PTX, which the driver compiles for all GPUs of at least this compute capability.
    Ptx(u32),
    /// The PTX of a shipped kernel.
    Shipped(&'static str),
}

impl fmt::Display for ImageForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cubin(capability) => write!(f, "sm_{capability}"),
            Self::Ptx(capability) => write!(f, "compute_{capability}"),
            Self::Shipped(_) => f.write_str("the shipped PTX"),
        }
    }
}

/// The forms in which NVRTC of a version, which generates code for some architectures, compiles for a GPU of a compute
/// capability: the one that the driver is most likely to load first. Empty if NVRTC supports neither this GPU nor an older
/// one.
///
/// A driver loads machine code of NVRTC of its own or an earlier major version of CUDA, also of a later minor version. Of a
/// later major version it is only promised to compile PTX, whose version [`lower_ptx_version`] lowers.
pub(super) fn image_forms(
    capability: u32,
    architectures: &[u32],
    nvrtc: CudaVersion,
    driver: CudaVersion,
) -> Vec<ImageForm> {
    let cubin = architectures.contains(&capability).then_some(ImageForm::Cubin(capability));
    let ptx = architectures.iter().copied().filter(|known| *known <= capability).max().map(ImageForm::Ptx);
    match nvrtc.major <= driver.major {
        true => cubin.into_iter().chain(ptx).collect(),
        false => ptx.into_iter().chain(cubin).collect(),
    }
}

/// PTX whose stated version is lowered to the latest one that a driver compiles; `None` if it is not newer. NVRTC states
/// its own version, whichever features the code uses; the driver rejects PTX that uses a feature of a later version.
pub(super) fn lower_ptx_version(ptx: &[u8], driver: CudaVersion) -> Option<Vec<u8>> {
    const DIRECTIVE: &str = ".version ";
    let text = std::str::from_utf8(ptx).ok()?;
    let line = text.lines().find(|line| line.starts_with(DIRECTIVE))?;
    let (major, minor) = line.strip_prefix(DIRECTIVE)?.trim().split_once('.')?;
    let stated: (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let latest = driver.ptx_version();
    let lowered = || text.replacen(line, &format!("{DIRECTIVE}{}.{}", latest.0, latest.1), 1).into_bytes();
    (stated > latest).then(lowered)
}
