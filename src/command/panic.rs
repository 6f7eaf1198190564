//! Turns panics, for example of a library on a damaged file, into an error message with exit code 1. `RUST_BACKTRACE=1`
//! also prints the standard panic message with a backtrace.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Mutex;

/// The message of the first panic of this process.
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

/// The message of a panic and its location, as a path from the folder of the crate, whose name has the version.
fn describe(panic: &PanicHookInfo<'_>) -> String {
    let what = panic.payload_as_str().unwrap_or("no message").replace('\n', " ");
    let Some(place) = panic.location() else { return what };
    let parts: Vec<_> = place.file().split(['/', '\\']).collect();
    // The sources of a crate are in `<name>-<version>/src`.
    let library = parts.iter().rposition(|part| *part == "src").unwrap_or(0).saturating_sub(1);
    format!("{}:{}: {what}", parts[library..].join("/"), place.line())
}

/// The error message for work that ended in a panic.
pub fn worker_stopped() -> String {
    let what = FIRST.lock().ok().and_then(|first| first.clone()).unwrap_or_default();
    format!("the work was stopped by an error inside the program; is a file that it reads damaged? ({what})")
}
