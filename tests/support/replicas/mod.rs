//! A primary and its replicas, with the replication of the product itself: streaming on PostgreSQL, by GTID on MariaDB.
//!
//! All servers of a cluster are its own, so a test may kill, pause, delay and promote them. Their processes end when the
//! cluster is dropped, and by the watchdog after the test binary has ended in whatever way.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::proxy::Proxy;
use super::server::{Product, Server};
use super::server_url::ServerUrl;

#[cfg(feature = "mysql")]
mod mariadb;
#[cfg(feature = "postgres")]
mod postgres;

/// The time limit for whatever a server should do soon.
const LIMIT: Duration = Duration::from_secs(60);

/// The account that the URLs of a cluster's databases name. It owns its databases and has no privilege over the server:
/// neither may it write to a server that is read-only, nor see what only administrators see.
const APP: &str = "app";

/// How a product replicates.
trait Replication: Sync {
    /// The primary, as it is started first.
    fn primary(&self) -> Box<dyn Product + Send>;

    /// A replica of the server at `primary`. `number` begins with 1.
    fn replica(&self, primary: &ServerUrl, number: usize) -> Box<dyn Product + Send>;

    /// The statements that create the account [`APP`] with `password`.
    fn create_app(&self, password: &str) -> Vec<String>;

    /// Runs a query, and returns the first column of its only row; `None` for NULL. A column of another name than the
    /// first can be asked for, as some statements have many.
    fn value(&self, url: &str, query: &str, column: Option<&str>)
    -> Result<Option<String>, String>;

    /// Makes a replica follow the primary, and apply what it receives.
    fn attach(&self, replica: &Server, primary: &Server);

    /// The position of the primary's log.
    fn position(&self, primary: &Server) -> String;

    /// Whether a replica has applied everything up to a position.
    fn has_applied(&self, replica: &Server, position: &str) -> bool;

    /// Stops applying what is received.
    fn pause(&self, replica: &Server);

    fn resume(&self, replica: &Server);

    /// Applies everything that much later than the primary did.
    fn delay(&self, replica: &Server, delay: Duration);

    /// Stops receiving.
    fn detach(&self, replica: &Server);

    /// Makes the primary wait, at each commit, until a replica has received it.
    fn acknowledge(&self, primary: &Server, replicas: &[&Server]);

    /// A number that is larger the more a replica has received.
    fn received(&self, replica: &Server) -> u128;

    /// Makes a primary of a replica, after everything that it has received is applied.
    fn promote(&self, replica: &Server);
}

/// A primary and its replicas.
pub(crate) struct Cluster {
    replication: &'static dyn Replication,
    nodes: Vec<Node>,
    primary: AtomicUsize,
}

/// One server of a cluster.
pub(crate) struct Node {
    replication: &'static dyn Replication,
    server: Server,
    proxy: Option<Proxy>,
}

#[cfg(feature = "postgres")]
impl Cluster {
    /// PostgreSQL with streaming replicas.
    ///
    /// # Panics
    ///
    /// If the server is not installed. The message says how to get it.
    pub(crate) fn postgres(replicas: usize) -> Self {
        Self::launch(&postgres::Streaming, replicas)
    }
}

#[cfg(feature = "mysql")]
impl Cluster {
    /// MariaDB with replicas by GTID.
    ///
    /// # Panics
    ///
    /// If the server is not installed. The message says how to get it.
    pub(crate) fn mariadb(replicas: usize) -> Self {
        Self::launch(&mariadb::Gtid, replicas)
    }
}

impl Cluster {
    fn launch(replication: &'static dyn Replication, replicas: usize) -> Self {
        // A server keeps its product for as long as the test binary runs.
        let server = |product: Box<dyn Product + Send>| Node {
            replication,
            server: Server::launched(Box::leak(product)),
            proxy: None,
        };
        let primary = server(replication.primary());
        for statement in replication.create_app(primary.server.password()) {
            primary.server.execute(&statement);
        }
        let url = ServerUrl::parse(&primary.server.url(), 0).expect("a URL");
        // One beside the other, as each waits for its disk.
        let started: Vec<_> = std::thread::scope(|scope| {
            let url = &url;
            let starts: Vec<_> = (1..=replicas)
                .map(|number| scope.spawn(move || server(replication.replica(url, number))))
                .collect();
            starts.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
        });
        let mut nodes = vec![primary];
        for started in started {
            let node = started.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            replication.attach(&node.server, &nodes[0].server);
            nodes.push(node);
        }
        let cluster = Self { replication, nodes, primary: AtomicUsize::new(0) };
        cluster.wait_until_caught_up();
        cluster
    }

    /// The same cluster, each of whose servers is reached by clients through a proxy. The servers reach each other
    /// without.
    pub(crate) async fn proxied(mut self) -> Self {
        for node in &mut self.nodes {
            node.proxy = Some(Proxy::before(node.server.port()).await);
        }
        self
    }

    /// A server by its number. The first primary is 0, and its replicas are 1, 2 and so on, whatever becomes of them.
    pub(crate) fn node(&self, number: usize) -> &Node {
        &self.nodes[number]
    }

    /// The server that is the primary now.
    pub(crate) fn primary(&self) -> &Node {
        &self.nodes[self.primary.load(Ordering::SeqCst)]
    }

    /// All the servers but the primary, whether they run or not.
    pub(crate) fn replicas(&self) -> Vec<&Node> {
        let primary = self.primary.load(Ordering::SeqCst);
        let others = self.nodes.iter().enumerate().filter(|(number, _)| *number != primary);
        others.map(|(_, node)| node).collect()
    }

    /// Creates an empty database on all servers, and returns its URL on the first one, for an account without any
    /// privileges over the server. [`Node::at`] turns it into that of another server.
    pub(crate) fn database(&self, prefix: &str) -> String {
        let url = self.as_app(&self.nodes[0].server.database(prefix));
        self.wait_until_caught_up();
        url
    }

    /// Creates an empty database for each tenant, and returns their URL with `{tenant}` in place of the name, as
    /// [`database`](Self::database) does.
    pub(crate) fn tenants<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> String {
        let url = self.as_app(&self.nodes[0].server.tenants(names));
        self.wait_until_caught_up();
        url
    }

    fn as_app(&self, url: &str) -> String {
        let mut url = ServerUrl::parse(url, 0).expect("a URL");
        APP.clone_into(&mut url.user);
        self.nodes[0].at(&url.to_string())
    }

    /// The same URL for an account with all privileges.
    pub(crate) fn as_admin(&self, url: &str) -> String {
        let mut url = ServerUrl::parse(url, 0).expect("a URL");
        self.nodes[0].server.user().clone_into(&mut url.user);
        url.to_string()
    }

    /// Runs a statement in the database at `url` on the primary, and waits until it is committed.
    pub(crate) fn execute_in(&self, url: &str, sql: &str) {
        self.primary().execute_in(url, sql);
    }

    /// Waits until all replicas that run have applied everything that is committed now.
    ///
    /// # Panics
    ///
    /// If one does not within a minute, such as one that is paused.
    pub(crate) fn wait_until_caught_up(&self) {
        let position = self.position();
        for node in self.replicas() {
            if node.is_running() {
                node.wait_until_applied(&position);
            }
        }
    }

    /// The position of the primary's log, for [`Node::wait_until_applied`].
    pub(crate) fn position(&self) -> String {
        self.replication.position(&self.primary().server)
    }

    /// Makes the primary wait, at each commit, until one of its replicas has received the transaction. The replica
    /// that has received most has them all, so its promotion loses none.
    pub(crate) fn acknowledge_commits(&self) {
        let replicas: Vec<_> = self.replicas().into_iter().map(|node| &node.server).collect();
        self.replication.acknowledge(&self.primary().server, &replicas);
    }

    /// The number of the running replica that has received most.
    pub(crate) fn most_advanced(&self) -> usize {
        let primary = self.primary.load(Ordering::SeqCst);
        (0..self.nodes.len())
            .filter(|number| *number != primary && self.nodes[*number].is_running())
            .max_by_key(|number| self.replication.received(&self.nodes[*number].server))
            .expect("a replica that runs")
    }

    /// Makes a replica the primary. Neither the old primary nor the other replicas are told: end the one before this,
    /// and let the others [`follow`](Self::follow) after it.
    pub(crate) fn promote(&self, number: usize) {
        self.replication.promote(&self.nodes[number].server);
        self.primary.store(number, Ordering::SeqCst);
    }

    /// Makes a replica follow the server that is the primary now, and apply what it receives.
    pub(crate) fn follow(&self, number: usize) {
        self.replication.attach(&self.nodes[number].server, &self.primary().server);
    }
}

impl Node {
    /// The URL of the same database on this server, through its proxy if it has one.
    pub(crate) fn at(&self, url: &str) -> String {
        let mut url = ServerUrl::parse(url, 0).expect("a URL");
        url.port = self.port();
        url.to_string()
    }

    /// The port that clients connect to.
    pub(crate) fn port(&self) -> u16 {
        self.proxy.as_ref().map_or(self.server.port(), Proxy::port)
    }

    /// The proxy that clients go through.
    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().expect("a cluster that is `proxied`")
    }

    /// The server, as which statements are run with all privileges.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    pub(crate) fn is_running(&self) -> bool {
        self.server.pid().is_some()
    }

    /// Kills it, as a machine failure would. The data stay.
    pub(crate) fn kill9(&self) {
        self.server.kill9();
    }

    /// Shuts it down in an orderly way.
    pub(crate) fn stop(&self) {
        self.server.stop();
    }

    /// Starts it again. A replica continues where it was.
    pub(crate) fn start(&self) {
        self.server.start();
    }

    /// Runs a statement in the same database on this server, past its proxy.
    pub(crate) fn execute_in(&self, url: &str, sql: &str) {
        self.server.execute_in(&self.direct(url), sql);
    }

    /// Runs a query in the same database on this server, past its proxy, and returns the first column of its first row.
    pub(crate) fn value(&self, url: &str, query: &str) -> Result<Option<String>, String> {
        self.replication.value(&self.direct(url), query, None)
    }

    fn direct(&self, url: &str) -> String {
        let mut direct = ServerUrl::parse(url, 0).expect("a URL");
        direct.port = self.server.port();
        direct.to_string()
    }

    /// Stops applying what is received, until [`resume_replay`](Self::resume_replay). What the primary commits after
    /// this call is not seen here.
    pub(crate) fn pause_replay(&self) {
        self.replication.pause(&self.server);
    }

    pub(crate) fn resume_replay(&self) {
        self.replication.resume(&self.server);
    }

    /// Applies each transaction that much later than the primary committed it. A whole number of seconds, as MariaDB
    /// knows no others.
    pub(crate) fn set_apply_delay(&self, delay: Duration) {
        assert_eq!(delay.subsec_nanos(), 0, "MariaDB delays by whole seconds");
        self.replication.delay(&self.server, delay);
    }

    /// Cuts the replica off from the primary: it answers, and receives nothing. [`Cluster::follow`] undoes it.
    pub(crate) fn detach(&self) {
        self.replication.detach(&self.server);
    }

    /// Waits until it has applied everything up to a position of [`Cluster::position`].
    ///
    /// # Panics
    ///
    /// If it has not within a minute.
    pub(crate) fn wait_until_applied(&self, position: &str) {
        until(
            || self.replication.has_applied(&self.server, position),
            || format!("port {}: {position} is not applied", self.server.port()),
        );
    }
}

/// Waits until a server has come into a state.
fn until(condition: impl Fn() -> bool, what: impl Fn() -> String) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}
