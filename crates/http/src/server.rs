//! Connections in, answers out, with bounds on both; and a stop that finishes what was accepted.

use crate::answer::Answer;
use crate::door::{BodyRead, Early};
use crate::metrics::Metrics;
use crate::settings::{HttpLimits, Settings};
use crate::state::{Clock, ServeError, State};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use rollcall_domain::moment::Zone;
use rollcall_store::Store;
use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// How often changes of apps, tokens and grants are looked for.
const DIRECTORY_POLL: Duration = Duration::from_millis(500);

/// A server that has its address.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    state: Arc<State>,
}

impl Server {
    /// Takes the address and reads what the doors need from the store.
    pub async fn bind(
        settings: Settings,
        store: Store,
        zone: Zone,
        metrics: Arc<Metrics>,
        clock: Clock,
    ) -> Result<Self, ServeError> {
        let listen = settings.listen;
        let listener = TcpListener::bind(listen).await.map_err(|e| ServeError::Listen(listen, e))?;
        let local_addr = listener.local_addr().map_err(|e| ServeError::Listen(listen, e))?;
        let state = Arc::new(State::new(settings, store, zone, metrics, clock)?);
        Ok(Self { listener, local_addr, state })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown` is done, then finishes what was accepted.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let limits = self.state.settings.limits;
        let places = Arc::new(Semaphore::new(limits.connections));
        let open = GracefulShutdown::new();
        let poll = tokio::spawn(watch_directory(self.state.clone()));
        let (stop_jobs, stopped) = tokio::sync::watch::channel(false);
        let jobs = self.state.settings.jobs.run.then(|| tokio::spawn(crate::jobs::run(self.state.clone(), stopped)));
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                accepted = self.listener.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or the peer left already: neither ends the server.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                tracing::warn!(connections = limits.connections, "too many connections, one was closed");
                continue;
            };
            // An answer is small; waiting to fill a packet only adds delay.
            let _ = stream.set_nodelay(true);
            let state = self.state.clone();
            let service = hyper::service::service_fn(move |request| serve(state.clone(), peer.ip(), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits.header_read)
                .max_buf_size(limits.header_bytes.max(8192))
                .serve_connection(TokioIo::new(stream), service);
            let connection = open.watch(connection);
            let metrics = self.state.metrics.clone();
            tokio::spawn(async move {
                metrics.connection_opened();
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
                metrics.connection_closed();
                drop(place);
            });
        }
        drop(self.listener);
        poll.abort();
        // Nobody listens where no jobs are done.
        let _ = stop_jobs.send(true);
        let finished = tokio::time::timeout(limits.request + Duration::from_secs(1), open.shutdown()).await;
        if finished.is_err() {
            tracing::warn!("some connections did not finish in time");
        }
        if let Some(jobs) = jobs
            && tokio::time::timeout(limits.request, jobs).await.is_err()
        {
            tracing::warn!("a synchronization did not stop in time");
        }
        self.state.store.engine().close();
    }
}

async fn watch_directory(state: Arc<State>) {
    let mut tick = tokio::time::interval(DIRECTORY_POLL);
    loop {
        tick.tick().await;
        if let Err(error) = state.refresh_directory().await {
            tracing::warn!(%error, "apps, tokens and grants could not be read again");
        }
    }
}

/// One request: its body within bounds, its answer within time.
async fn serve(
    state: Arc<State>,
    peer: IpAddr,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let limits = state.settings.limits;
    let (head, body) = request.into_parts();
    let early = |why| Ok(Answer::into_response(crate::door::refuse_early(&state, peer, &head, why)));
    if head.uri.path_and_query().map_or(0, |uri| uri.as_str().len()) > limits.uri_bytes {
        return early(Early::UriTooLong);
    }
    if head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>() > limits.header_bytes {
        return early(Early::HeadersTooLarge);
    }
    let body = read_body(body, limits).await;
    let big = matches!(&body, BodyRead::Whole(bytes) if bytes.len() > BIG_BODY);
    let work = crate::door::answer(&state, peer, &head, body);
    let answer = if big {
        // Reading so much takes a while; the runtime moves its other tasks elsewhere meanwhile.
        Ok(tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(work)))
    } else {
        tokio::time::timeout(limits.request, work).await
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(_) => return early(Early::TooSlow),
    };
    Ok(Answer::into_response(answer))
}

/// Bodies above this many bytes are worked on where a thread may block.
const BIG_BODY: usize = 256 * 1024;

async fn read_body(body: Incoming, limits: HttpLimits) -> BodyRead {
    let read = Limited::new(body, limits.body_bytes).collect();
    match tokio::time::timeout(limits.request, read).await {
        Ok(Ok(body)) => BodyRead::Whole(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => BodyRead::TooLarge,
        Ok(Err(_)) | Err(_) => BodyRead::Broken,
    }
}
