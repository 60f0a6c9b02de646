//! A TCP proxy in front of a server, which misbehaves when told to.
//!
//! It runs on its own threads, so it outlives the runtimes of tests. Its port stays the same throughout, also
//! while it refuses connections.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

/// A proxy in front of one port of this machine. Dropping it closes its port and its connections.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Bound without listening: it reserves the port while connections to it are refused.
    _reserved: TcpSocket,
}

impl Proxy {
    /// Starts a proxy in front of the server on `port`. It forwards everything until it is told otherwise.
    pub(crate) async fn before(port: u16) -> Self {
        let reserved = socket();
        reserved.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a port");
        let address = reserved.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            server: SocketAddr::from(([127, 0, 0, 1], port)),
            orders: watch::Sender::new(Orders::default()),
            is_listening: watch::Sender::new(false),
            bytes: [watch::Sender::new(0), watch::Sender::new(0)],
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        threads().spawn(accept(address, Arc::clone(&shared)));
        let proxy = Self { address, shared, _reserved: reserved };
        proxy.until_listening(true).await;
        proxy
    }

    /// The port that clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Rewrites a URL of the server to lead through the proxy.
    pub(crate) fn url(&self, url: &str) -> String {
        let (old, new) = (self.shared.server.port(), self.address.port());
        let changed = url.replacen(&format!(":{old}/"), &format!(":{new}/"), 1);
        assert_ne!(changed, url, "a URL with the port of the server");
        changed
    }

    /// Refuses new connections, as a machine without a server does.
    pub(crate) async fn refuse(&self) {
        self.order(|orders| orders.arrivals = Arrivals::Refuse);
        self.until_listening(false).await;
    }

    /// Accepts new connections, and never answers on them.
    pub(crate) fn be_silent(&self) {
        self.order(|orders| {
            orders.arrivals = Arrivals::Lose;
            orders.is_dark = true;
        });
    }

    /// Drops all data in both directions from now on. No connection is closed, on either side.
    pub(crate) fn lose_everything(&self) {
        self.lose_open();
        self.be_silent();
    }

    /// Drops all data on the connections that are open now, as a firewall does whose state was lost. New connections
    /// work.
    pub(crate) fn lose_open(&self) {
        let last = self.accepted();
        self.order(|orders| {
            orders.lost = last;
            orders.is_dark = true;
        });
    }

    /// Closes the connections that are open now.
    pub(crate) fn cut(&self) {
        let last = self.accepted();
        self.order(|orders| orders.cut = last);
    }

    /// Lets the server send `bytes` more, then closes the connection on which the next byte comes; once.
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.order(|orders| orders.budget = Some(bytes));
    }

    /// Leads new connections to the server on another port, as a floating address or a changed name does. Those that
    /// are open stay where they are, also after [`heal`](Self::heal).
    pub(crate) fn lead_to(&self, port: u16) {
        self.order(|orders| orders.elsewhere = Some(port));
    }

    /// Delays all data, in both directions.
    pub(crate) fn delay(&self, delay: Duration) {
        self.order(|orders| orders.delay = delay);
    }

    /// Holds back the answers of the server.
    pub(crate) fn hold_answers(&self) -> Gate<'_> {
        self.hold(Direction::Answer)
    }

    /// Holds back the requests of clients, so that the server does not see them.
    pub(crate) fn hold_requests(&self) -> Gate<'_> {
        self.hold(Direction::Request)
    }

    /// Forwards again. Dropped data stay lost, and connections that lost data stay dead.
    pub(crate) async fn heal(&self) {
        self.order(|orders| {
            let Orders { lost, cut, elsewhere, .. } = *orders;
            *orders = Orders { lost, cut, elsewhere, ..Orders::default() };
        });
        self.until_listening(true).await;
    }

    /// How many connections have been accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections clients have open.
    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    fn hold(&self, direction: Direction) -> Gate<'_> {
        let seen = self.shared.bytes.each_ref().map(|bytes| *bytes.borrow());
        self.order(|orders| orders.held = Some(direction));
        Gate { proxy: self, seen }
    }

    fn order(&self, change: impl FnOnce(&mut Orders)) {
        self.shared.orders.send_modify(change);
    }

    async fn until_listening(&self, listening: bool) {
        let mut is_listening = self.shared.is_listening.subscribe();
        is_listening.wait_for(|is| *is == listening).await.expect("the proxy lives");
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.order(|orders| orders.is_over = true);
    }
}

/// Holds data back in a proxy until it is dropped.
pub(crate) struct Gate<'a> {
    proxy: &'a Proxy,
    seen: [u64; 2],
}

impl Gate<'_> {
    /// Waits until a client has sent something since the gate was closed.
    pub(crate) async fn asked(&self) {
        self.passed(Direction::Request).await;
    }

    /// Waits until the server has sent something since the gate was closed, which means that it has done its work.
    pub(crate) async fn answered(&self) {
        self.passed(Direction::Answer).await;
    }

    async fn passed(&self, direction: Direction) {
        let mut bytes = self.proxy.shared.bytes[direction as usize].subscribe();
        let seen = self.seen[direction as usize];
        bytes.wait_for(|bytes| *bytes > seen).await.expect("the proxy lives");
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        self.proxy.order(|orders| orders.held = None);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Request,
    Answer,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Arrivals {
    #[default]
    Serve,
    Refuse,
    Lose,
}

/// The current orders of a proxy. Connections are numbered from 1.
#[derive(Clone, Default)]
struct Orders {
    arrivals: Arrivals,
    /// The highest number of a connection whose data are dropped, and of one that is closed.
    lost: usize,
    cut: usize,
    /// The port to connect to in place of the server's.
    elsewhere: Option<u16>,
    /// How many more bytes the server may send.
    budget: Option<usize>,
    delay: Duration,
    held: Option<Direction>,
    /// Whether the close of one end is hidden from the other.
    is_dark: bool,
    is_over: bool,
}

struct Shared {
    server: SocketAddr,
    orders: watch::Sender<Orders>,
    is_listening: watch::Sender<bool>,
    /// How many bytes have arrived, by [`Direction`].
    bytes: [watch::Sender<u64>; 2],
    accepted: AtomicUsize,
    open: AtomicUsize,
}

/// The runtime of all proxies, separate from those of the tests.
fn threads() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("proxy")
            .enable_all()
            .build()
            .expect("a runtime")
    })
}

fn socket() -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("two sockets may share the port");
    socket
}

fn listen(address: SocketAddr) -> TcpListener {
    let socket = socket();
    socket.bind(address).expect("the port is reserved");
    socket.listen(1024).expect("nobody else listens")
}

async fn accept(address: SocketAddr, shared: Arc<Shared>) {
    let mut orders = shared.orders.subscribe();
    let mut listener = None;
    loop {
        let (arrivals, is_over) = {
            let orders = orders.borrow_and_update();
            (orders.arrivals, orders.is_over)
        };
        if is_over {
            return;
        }
        if arrivals == Arrivals::Refuse {
            listener = None;
            shared.is_listening.send_replace(false);
            let _ = orders.changed().await;
            continue;
        }
        let listening = listener.get_or_insert_with(|| listen(address));
        shared.is_listening.send_replace(true);
        tokio::select! {
            _ = orders.changed() => {}
            Ok((client, _)) = listening.accept() => {
                let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                shared.open.fetch_add(1, Ordering::SeqCst);
                // The orders at the moment of the accept apply, not those of when the wait began.
                let is_lost = shared.orders.borrow().arrivals == Arrivals::Lose;
                let line = Line { shared: Arc::clone(&shared), number, is_lost };
                tokio::spawn(line.serve(client));
            }
        }
    }
}

/// One connection through a proxy.
struct Line {
    shared: Arc<Shared>,
    number: usize,
    /// Whether data are dropped from the beginning of the connection.
    is_lost: bool,
}

impl Line {
    async fn serve(self, client: TcpStream) {
        let mut orders = self.shared.orders.subscribe();
        let is_cut = async {
            let _ = orders.wait_for(|orders| orders.is_over || self.number <= orders.cut).await;
        };
        tokio::select! {
            () = self.carry(client) => {}
            () = is_cut => {}
        }
    }

    async fn carry(&self, client: TcpStream) {
        if self.is_lost {
            let (from_client, _to_client) = client.into_split();
            return self.lose(from_client).await;
        }
        let mut address = self.shared.server;
        if let Some(port) = self.shared.orders.borrow().elsewhere {
            address.set_port(port);
        }
        let Ok(server) = TcpStream::connect(address).await else { return };
        for stream in [&client, &server] {
            stream.set_nodelay(true).expect("a socket");
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        // When one end is closed, the other is closed too.
        tokio::select! {
            () = self.pump(Direction::Request, from_client, to_server) => {}
            () = self.pump(Direction::Answer, from_server, to_client) => {}
        }
    }

    async fn pump(&self, direction: Direction, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = [0; 4096];
        loop {
            let read = from.read(&mut buffer).await.unwrap_or(0);
            let count = &self.shared.bytes[direction as usize];
            count.send_modify(|bytes| *bytes += read as u64);
            let Some(cut) = self.may_pass(direction, read).await else {
                return self.lose(from).await;
            };
            if read == 0 || to.write_all(&buffer[..cut.unwrap_or(read)]).await.is_err() {
                return;
            }
            if cut.is_some() {
                return;
            }
        }
    }

    /// Waits until the data may pass. `None`: they must not. `Some(Some(n))`: only `n` bytes of them may.
    async fn may_pass(&self, direction: Direction, read: usize) -> Option<Option<usize>> {
        let mut orders = self.shared.orders.subscribe();
        let now = orders
            .wait_for(|orders| self.number <= orders.lost || orders.held != Some(direction))
            .await
            .expect("shared with us")
            .clone();
        if self.number <= now.lost {
            return None;
        }
        if !now.delay.is_zero() {
            tokio::time::sleep(now.delay).await;
        }
        let mut cut = None;
        if direction == Direction::Answer && now.budget.is_some() {
            self.shared.orders.send_modify(|orders| {
                if let Some(budget) = orders.budget {
                    orders.budget = budget.checked_sub(read);
                    cut = (budget < read).then_some(budget);
                }
            });
        }
        Some(cut)
    }

    /// Discards incoming data. The close of this end is passed on only after the proxy is healed.
    async fn lose(&self, mut from: OwnedReadHalf) {
        let mut orders = self.shared.orders.subscribe();
        let mut buffer = [0; 4096];
        while from.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
        let _ = orders.wait_for(|orders| !orders.is_dark).await;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Awaits `future` under a limit that ends a test that would hang.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it takes too long")
}
