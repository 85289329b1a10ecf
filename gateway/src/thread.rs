//! A person's connection on a thread of its own: what belongs to it — both its sides, pumps, recording — wakes nobody
//! else, a disk that stalls holds up only those whom it cannot record, and the system shares the processors out fairly:
//! who types is served before who floods.

use std::io;

/// Serves on a new thread until `serve` is done.
///
/// # Errors
/// The system has no thread for it.
pub fn begin<F: Future<Output = ()>>(name: &str, serve: impl FnOnce() -> F + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(8).build();
        match runtime {
            Ok(runtime) => {
                runtime.block_on(serve());
                // The name of a device may still be looked up for nobody: that is not waited for.
                runtime.shutdown_background();
            }
            Err(fault) => tracing::error!(%fault, "a connection was refused: no runtime for it"),
        }
    })?;
    Ok(())
}
