//! Stopping work that goes on batch by batch.

use crate::end::End;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// The first signal asks for an end after the batch that is under way, which is told by the flag; the next one ends the program at once.
/// Batches are transactions: nothing is left half done either way.
pub fn on_signal() -> Result<Arc<AtomicBool>, End> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let asked = is_stopped.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if asked.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
            }
        });
    })?;
    Ok(is_stopped)
}
