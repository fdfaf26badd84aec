//! Signals that ask the program to end.

use crate::end::End;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT and SIGTERM, which do nothing else from the moment they are listened to.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, End> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// For servers: done when the program is asked to end. Signals are heeded from the call on.
pub fn when_asked() -> Result<impl Future<Output = ()>, End> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        signals.next().await;
        tracing::info!("stopping: finishing what was accepted");
    })
}

/// For work that goes on batch by batch: the first signal asks for an end after the batch that is under way, which is told by the
/// flag; the next one ends the program at once. Batches are transactions: nothing is left half done either way.
pub fn after_batch() -> Result<Arc<AtomicBool>, End> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let entered = runtime.enter();
    let mut signals = Signals::listen()?;
    drop(entered);
    let asked = is_stopped.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                signals.next().await;
                if asked.swap(true, Ordering::Relaxed) {
                    std::process::exit(1);
                }
            }
        });
    })?;
    Ok(is_stopped)
}
