//! The compiled forms of a function or an expression.

use std::sync::Arc;

use parking_lot::Mutex;
use pyo3::PyResult;

use crate::compiled::Compiled;

/// The number of forms that are kept. The oldest one makes room for a new one.
const KEPT: usize = 64;

/// Compiled forms by what they were compiled for.
pub struct CompiledForms<K>(Mutex<Vec<(K, Arc<Compiled>)>>);

impl<K> Default for CompiledForms<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: PartialEq> CompiledForms<K> {
    /// The form for a key, which is compiled if it is not kept.
    ///
    /// # Errors
    /// That of the compilation.
    pub fn get_or_compile(
        &self,
        key: K,
        compile: impl FnOnce(&K) -> PyResult<Compiled>,
    ) -> PyResult<Arc<Compiled>> {
        if let Some((_, compiled)) = self.0.lock().iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(compiled));
        }
        let compiled = Arc::new(compile(&key)?);
        let mut kept = self.0.lock();
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((key, Arc::clone(&compiled)));
        Ok(compiled)
    }
}
