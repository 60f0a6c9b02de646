//! The URL of a server, and of the databases on it.

/// The parts of `scheme://user:password@host:port/database?query`. URLs in variables are already
/// percent-encoded, and stay so.
#[derive(Clone)]
pub(crate) struct ServerUrl {
    pub(crate) scheme: String,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) query: String,
}

impl ServerUrl {
    pub(crate) fn parse(url: &str, default_port: u16) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, query) = match rest.find('?') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (address, default_port),
        };
        Some(Self {
            scheme: scheme.to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
            host: host.to_owned(),
            port,
            database: database.to_owned(),
            query: query.to_owned(),
        })
    }

    pub(crate) fn of_database(&self, name: &str) -> Self {
        Self { database: name.to_owned(), ..self.clone() }
    }
}

impl std::fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { scheme, user, password, host, port, database, query } = self;
        let password = match password.as_str() {
            "" => String::new(),
            password => format!(":{password}"),
        };
        write!(f, "{scheme}://{user}{password}@{host}:{port}/{database}{query}")
    }
}
