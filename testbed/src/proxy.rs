//! A proxy in front of a server that cuts or holds its connections: all at once, or one at a chosen moment of the conversation.
//!
//! It looks for bytes and does not know the protocol, so texts are found in connections without TLS and in statements that are
//! sent as text. One thread takes connections, two serve each.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What a server that is not there is waited for.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// An answer is over when nothing has followed for so long.
const QUIET: Duration = Duration::from_millis(100);

/// The end of an answer that leaves no transaction open: "ready for query, idle".
const READY: &[u8] = b"Z\0\0\0\x05I";

/// The longest text that can be waited for.
const LONGEST_PATTERN: usize = 1024;

/// A proxy on a port of its own. Dropping it cuts what goes through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when something that was held may go on.
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    target: SocketAddr,
    is_refusing: bool,
    is_frozen: bool,
    is_closing: bool,
    rules: Vec<Rule>,
    cuts: usize,
    next_id: u64,
    /// Those that are neither cut nor closed.
    connections: HashMap<u64, Connection>,
}

/// One cut or hold that is still to come.
#[derive(Debug)]
struct Rule {
    pattern: Vec<u8>,
    when: When,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Cut,
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Before,
    After,
}

#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// Whether the next answer is kept from the client, and then the connection cut.
    is_last_answer_kept: bool,
    /// Whether nothing is passed on of this one, in either direction.
    is_held: bool,
}

impl Proxy {
    /// Starts one that passes everything on.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = State {
            target,
            is_refusing: false,
            is_frozen: false,
            is_closing: false,
            rules: Vec::new(),
            cuts: 0,
            next_id: 0,
            connections: HashMap::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let accepting = shared.clone();
        let acceptor = std::thread::spawn(move || accepting.accept(&listener));
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends connections that are made from now on to another server.
    pub fn retarget(&self, target: SocketAddr) {
        self.shared.state().target = target;
    }

    /// Cuts every connection now.
    pub fn cut(&self) {
        self.shared.state().cut_all();
        self.shared.changed.notify_all();
    }

    /// Arms one cut: when a client sends this, its connection is cut, and the server does not get to see it.
    pub fn cut_before(&self, pattern: impl AsRef<[u8]>) {
        self.arm(pattern.as_ref(), When::Before, What::Cut);
    }

    /// Arms one cut: when a client sends this, the server gets it and answers, but instead of the answer the client gets its
    /// connection cut.
    pub fn cut_after(&self, pattern: impl AsRef<[u8]>) {
        self.arm(pattern.as_ref(), When::After, What::Cut);
    }

    /// Arms one hold: from when a client sends this, it included, nothing of its connection is passed on. Others are not touched.
    pub fn hold_before(&self, pattern: impl AsRef<[u8]>) {
        self.arm(pattern.as_ref(), When::Before, What::Hold);
    }

    /// Arms one hold: when a client sends this, the server gets it, and from then on nothing of this connection is passed on.
    pub fn hold_after(&self, pattern: impl AsRef<[u8]>) {
        self.arm(pattern.as_ref(), When::After, What::Hold);
    }

    /// How many connections are held.
    pub fn held(&self) -> usize {
        self.shared.state().connections.values().filter(|connection| connection.is_held).count()
    }

    /// Passes on what was held of single connections.
    pub fn release(&self) {
        self.shared.state().connections.values_mut().for_each(|connection| connection.is_held = false);
        self.shared.changed.notify_all();
    }

    /// Forgets the cuts and holds that have not happened.
    pub fn disarm(&self) {
        self.shared.state().rules.clear();
    }

    fn arm(&self, pattern: &[u8], when: When, what: What) {
        assert!((1..=LONGEST_PATTERN).contains(&pattern.len()), "a text to wait for has 1 to {LONGEST_PATTERN} bytes");
        self.shared.state().rules.push(Rule { pattern: pattern.to_vec(), when, what });
    }

    /// How many of the armed cuts have happened.
    pub fn cuts(&self) -> usize {
        self.shared.state().cuts
    }

    /// Whether new connections are closed as soon as they are made.
    pub fn refuse(&self, refuses: bool) {
        self.shared.state().is_refusing = refuses;
    }

    /// Passes nothing on any more, in either direction, and closes nothing: the network is silent.
    pub fn freeze(&self) {
        self.shared.state().is_frozen = true;
    }

    /// Passes on what was held, and everything from now on.
    pub fn thaw(&self) {
        self.shared.state().is_frozen = false;
        self.shared.changed.notify_all();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.is_closing = true;
            state.cut_all();
        }
        self.shared.changed.notify_all();
        // The acceptor sees only with the next connection that it is to end.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

impl State {
    fn cut_all(&mut self) {
        for (_, connection) in self.connections.drain() {
            connection.close();
        }
    }
}

impl Connection {
    /// The server's side first: it then works on the consequences while the client is still to learn of it.
    fn close(&self) {
        for stream in [&self.server, &self.client] {
            // One that is closed already is as good.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// What becomes of bytes that a client has sent.
enum Fate {
    Pass,
    /// So many of them are passed, then the connection is cut.
    Cut(usize),
    /// So many of them are passed, the others when the connection is released.
    Hold(usize),
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn accept(&self, listener: &TcpListener) {
        std::thread::scope(|scope| {
            for client in listener.incoming() {
                let (is_closing, is_refusing) = {
                    let state = self.state();
                    (state.is_closing, state.is_refusing)
                };
                if is_closing {
                    return;
                }
                let Ok(client) = client else { continue };
                if !is_refusing {
                    scope.spawn(move || self.serve(client));
                }
            }
        });
    }

    /// Passes on what client and server send each other until one of them is gone. A server that cannot be reached looks to the
    /// client like a connection that is closed at once.
    fn serve(&self, client: TcpStream) {
        let target = self.state().target;
        let Ok(server) = TcpStream::connect_timeout(&target, CONNECT_WITHIN) else { return };
        for stream in [&client, &server] {
            // Only about delays.
            let _ = stream.set_nodelay(true);
        }
        let Some(id) = self.register(&client, &server) else { return };
        std::thread::scope(|scope| {
            scope.spawn(|| self.to_server(id, &client, &server));
            self.to_client(id, &server, &client);
        });
        self.state().connections.remove(&id);
    }

    /// Makes a connection known to those who cut; none when the proxy closes.
    fn register(&self, client: &TcpStream, server: &TcpStream) -> Option<u64> {
        let mut state = self.state();
        if state.is_closing {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        let (client, server) = (client.try_clone().ok()?, server.try_clone().ok()?);
        state.connections.insert(id, Connection { client, server, is_last_answer_kept: false, is_held: false });
        Some(id)
    }

    fn to_server(&self, id: u64, mut client: &TcpStream, mut server: &TcpStream) {
        let mut seen = Seen::default();
        let mut buffer = vec![0; 64 * 1024];
        while let Some(bytes) = read(&mut client, &mut buffer) {
            self.wait_while_frozen(id);
            match self.decide(id, &mut seen, bytes) {
                Fate::Pass => {
                    if server.write_all(bytes).is_err() {
                        // The server may have said why before it closed, which the other direction still passes on.
                        return;
                    }
                }
                Fate::Cut(passed) => {
                    let _ = server.write_all(&bytes[..passed]);
                    self.cut(id);
                    return;
                }
                Fate::Hold(passed) => {
                    if server.write_all(&bytes[..passed]).is_err() {
                        return;
                    }
                    self.wait_while_frozen(id);
                    if server.write_all(&bytes[passed..]).is_err() {
                        return;
                    }
                }
            }
        }
        let _ = server.shutdown(Shutdown::Both);
    }

    fn to_client(&self, id: u64, mut server: &TcpStream, mut client: &TcpStream) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = server.read(&mut buffer);
            let is_kept = self.state().connections.get(&id).is_some_and(|connection| connection.is_last_answer_kept);
            match read {
                Err(e) if e.kind() == ErrorKind::Interrupted => (),
                Ok(count) if count > 0 && !is_kept => {
                    self.wait_while_frozen(id);
                    if client.write_all(&buffer[..count]).is_err() {
                        break;
                    }
                }
                // Answers to what was sent before may come first, so the first bytes are not always all of it.
                Ok(count) if count > 0 && !buffer[..count].ends_with(READY) => {
                    server.set_read_timeout(Some(QUIET)).expect("the time is not zero");
                }
                // The end of the connection, of an answer that is kept, or of the time waited for more of one.
                _ => {
                    if is_kept {
                        self.cut(id);
                    }
                    break;
                }
            }
        }
        for stream in [server, client] {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Holds the calling thread as long as nothing is to be passed on; a connection that was cut is let go to find its end.
    fn wait_while_frozen(&self, id: u64) {
        let state = self.state();
        let is_held = |state: &mut State| {
            state.connections.get(&id).is_some_and(|connection| state.is_frozen || connection.is_held)
        };
        drop(self.changed.wait_while(state, is_held).unwrap_or_else(PoisonError::into_inner));
    }

    /// Looks for the first text that is waited for in what a client sends, and spends its rule.
    fn decide(&self, id: u64, seen: &mut Seen, bytes: &[u8]) -> Fate {
        let mut state = self.state();
        let found = state.rules.iter().enumerate();
        let found = found.filter_map(|(rule, Rule { pattern, .. })| Some((seen.find(bytes, pattern)?, rule))).min();
        seen.add(bytes);
        let Some((start, rule)) = found else { return Fate::Pass };
        let Rule { when, what, .. } = state.rules[rule];
        let Some(connection) = state.connections.get_mut(&id) else { return Fate::Pass };
        match (what, when) {
            (What::Cut, When::After) if connection.is_last_answer_kept => return Fate::Pass,
            (What::Cut, When::After) => connection.is_last_answer_kept = true,
            (What::Cut, When::Before) => {}
            (What::Hold, _) => connection.is_held = true,
        }
        state.rules.remove(rule);
        match (what, when) {
            (What::Cut, When::Before) => Fate::Cut(start),
            (What::Hold, When::Before) => Fate::Hold(start),
            (_, When::After) => Fate::Pass,
        }
    }

    /// Cuts one connection because of a rule. Whoever sees it cut finds it counted.
    fn cut(&self, id: u64) {
        let mut state = self.state();
        state.cuts += 1;
        if let Some(connection) = state.connections.remove(&id) {
            connection.close();
        }
    }
}

/// Bytes that have come; nothing when there will be no more.
fn read<'b>(stream: &mut &TcpStream, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return None,
            Ok(count) => return Some(&buffer[..count]),
            Err(e) if e.kind() == ErrorKind::Interrupted => (),
            Err(_) => return None,
        }
    }
}

/// The last bytes of what a client has sent, since a text may come in pieces.
#[derive(Debug, Default)]
struct Seen(Vec<u8>);

impl Seen {
    /// Where a text begins that ends in these bytes; 0 also when it begins before them.
    fn find(&self, bytes: &[u8], pattern: &[u8]) -> Option<usize> {
        let before = self.0.len().min(pattern.len() - 1);
        let window = [&self.0[self.0.len() - before..], bytes].concat();
        let start = window.windows(pattern.len()).position(|window| window == pattern)?;
        Some(start.saturating_sub(before))
    }

    fn add(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
        let kept = self.0.len().min(LONGEST_PATTERN);
        self.0.drain(..self.0.len() - kept);
    }
}
