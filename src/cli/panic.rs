//! Panics, should a library panic on a damaged file or we be wrong ourselves, as an error like any other:
//! one sentence and exit code 1. `RUST_BACKTRACE=1` shows where it was.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;

/// What the first panic of this process has said.
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// Runs `run`. If it panics, returns the message of [`worker_stopped`] as the error.
pub fn catch<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    let standard = take_hook();
    set_hook(Box::new(move |panic| {
        if std::env::var_os("RUST_BACKTRACE").is_some() {
            standard(panic);
        }
        if let Ok(mut first) = FIRST.lock() {
            first.get_or_insert_with(|| describe(panic));
        }
    }));
    catch_unwind(AssertUnwindSafe(run)).map_err(|_| worker_stopped())
}

/// What a panic says, and where in which version of which library, without the folder that it was built in.
fn describe(panic: &PanicHookInfo<'_>) -> String {
    let what = panic.payload_as_str().unwrap_or("it does not say why").replace('\n', " ");
    let Some(place) = panic.location() else { return what };
    let parts: Vec<_> = place.file().split(['/', '\\']).collect();
    // A library's sources lie in `<name>-<version>/src`.
    let library = parts.iter().rposition(|part| *part == "src").unwrap_or(0).saturating_sub(1);
    format!("{}:{}: {what}", parts[library..].join("/"), place.line())
}

/// The sentence for work that a panic has ended.
pub fn worker_stopped() -> String {
    let what = FIRST.lock().ok().and_then(|first| first.clone()).unwrap_or_default();
    format!("the work was stopped by an error inside the program; is a file that it reads damaged? ({what})")
}
