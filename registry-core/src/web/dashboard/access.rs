//! Who may read the page, if the program has no guard of its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::request::Parts;
use http::{HeaderName, Version, header};

/// What is known about who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Access {
    Granted,
    /// Nothing tells where the request comes from.
    GrantedToUnknown,
    Refused(Refusal),
}

/// Why a request is refused. `Display` is for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The peer is another machine.
    Peer(SocketAddr),
    /// A proxy has passed the request on, so the peer is not who asks.
    Forwarded(HeaderName),
    /// HTTP/1.0, which proxies speak.
    Old,
    /// The name or the address by which the server was asked is not one of this machine alone.
    Host(String),
}

/// The headers by which a proxy says for whom it asks, beside all that begin with [`OF_PROXIES_PREFIX`].
const OF_PROXIES: [&str; 8] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "true-client-ip",
    "cf-connecting-ip",
];
const OF_PROXIES_PREFIX: &str = "x-forwarded-";

/// The most characters of a `Host` that a refusal repeats.
const HOST_SHOWN: usize = 100;

/// Whether the page may be shown. `peer` is the other end of the connection, if the server has told it.
pub(super) fn access(peer: Option<SocketAddr>, request: &Parts) -> Access {
    if let Some(peer) = peer.filter(|peer| !peer.ip().to_canonical().is_loopback()) {
        return Access::Refused(Refusal::Peer(peer));
    }
    let is_of_proxy = |name: &&HeaderName| {
        OF_PROXIES.contains(&name.as_str()) || name.as_str().starts_with(OF_PROXIES_PREFIX)
    };
    if let Some(name) = request.headers.keys().find(is_of_proxy) {
        return Access::Refused(Refusal::Forwarded(name.clone()));
    }
    // No browser speaks it. nginx does if its settings say no more than where to pass requests on to, and it then sends
    // none of the headers above, and the `Host` of this server.
    if request.version < Version::HTTP_11 {
        return Access::Refused(Refusal::Old);
    }
    let host = asked_host(request);
    let is_allowed = match (peer, &host) {
        (_, None) => true,
        // A browser on this machine asks in the name of a site whose DNS record leads here, and hands the site the
        // answer: DNS rebinding. An address is in no DNS record.
        (Some(_), Some(host)) => is_local_name(host) || address_in(host).is_some(),
        (None, Some(host)) => is_local(host),
    };
    match (peer, host) {
        (_, Some(host)) if !is_allowed => Access::Refused(Refusal::Host(host)),
        (Some(_), _) => Access::Granted,
        (None, _) => Access::GrantedToUnknown,
    }
}

/// The name or the address, and the port, that the client wants to speak to.
fn asked_host(request: &Parts) -> Option<String> {
    let header = request.headers.get(header::HOST);
    // HTTP/2 has it in the URI.
    let authority = request.uri.authority().map(|authority| authority.as_str().to_owned());
    header.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned()).or(authority)
}

fn is_local(host: &str) -> bool {
    is_local_name(host) || address_in(host).is_some_and(|address| address.is_loopback())
}

/// `localhost`, or a name below it, which browsers resolve to this machine without a look into the DNS.
fn is_local_name(host: &str) -> bool {
    let name =
        host.split(':').next().unwrap_or_default().trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The address that stands in place of a name.
fn address_in(host: &str) -> Option<IpAddr> {
    let with_port = host.parse::<SocketAddr>().map(|address| address.ip());
    let address = with_port.or_else(|_| host.trim_matches(['[', ']']).parse::<IpAddr>());
    address.ok().map(|address| address.to_canonical())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(peer) => write!(f, "the request comes from another machine ({peer})"),
            Self::Forwarded(name) => {
                write!(f, "the request has come through a proxy (it has the header `{name}`)")
            }
            Self::Old => f.write_str("the request is in HTTP/1.0, as those of proxies are"),
            Self::Host(host) => {
                // It is whatever somebody has sent, and goes to logs and terminals.
                let shown: String = host.chars().take(HOST_SHOWN).collect();
                write!(
                    f,
                    "the request is for the host `{}`, which is not a name of this machine alone",
                    shown.escape_debug()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(peer: Option<&str>, headers: &[(&str, &str)]) -> Access {
        let mut request = http::Request::get("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).expect("a request").into_parts();
        access(peer.map(|peer| peer.parse().expect("an address")), &parts)
    }

    #[test]
    fn loopback_peer_is_served_unless_it_is_a_proxy() {
        for peer in ["127.0.0.1:5", "127.9.9.9:5", "[::1]:5", "[::ffff:127.0.0.1]:5"] {
            assert_eq!(asked(Some(peer), &[]), Access::Granted, "{peer}");
            for name in OF_PROXIES.into_iter().chain(["x-forwarded-for", "x-forwarded-port"]) {
                let access = asked(Some(peer), &[(name, "127.0.0.1")]);
                let refused = Refusal::Forwarded(HeaderName::from_static(name));
                assert_eq!(access, Access::Refused(refused));
            }
        }
    }

    #[test]
    fn other_peers_are_refused_whatever_they_say() {
        for peer in ["10.0.0.7:5", "[2001:db8::1]:5", "0.0.0.0:5"] {
            let refused = Access::Refused(Refusal::Peer(peer.parse().expect("an address")));
            assert_eq!(asked(Some(peer), &[]), refused);
            assert_eq!(asked(Some(peer), &[("host", "localhost")]), refused);
        }
    }

    #[test]
    fn loopback_peer_that_asks_for_a_foreign_name_is_refused() {
        let asked = |host| asked(Some("127.0.0.1:5"), &[("host", host)]);
        for host in ["localhost", "localhost:3000", "app.localhost", "127.0.0.1:3000", "[::1]:3000"]
        {
            assert_eq!(asked(host), Access::Granted, "{host}");
        }
        // An address of this machine cannot be a name that somebody else has pointed here.
        assert_eq!(asked("192.168.1.4:3000"), Access::Granted);
        for host in ["evil.example", "evil.example:3000", "localhost.evil.example", "xlocalhost"] {
            assert_eq!(asked(host), Access::Refused(Refusal::Host(host.to_owned())));
        }
    }

    #[test]
    fn proxy_that_says_nothing_of_itself_is_refused_by_its_old_protocol() {
        let request = http::Request::get("/").version(Version::HTTP_10);
        let request = request.header("host", "127.0.0.1:3000").body(()).expect("a request");
        let (parts, ()) = request.into_parts();
        for peer in [Some("127.0.0.1:5".parse().expect("an address")), None] {
            assert_eq!(access(peer, &parts), Access::Refused(Refusal::Old));
        }
    }

    #[test]
    fn host_is_repeated_in_short_and_without_what_acts_on_a_terminal() {
        let refusal = Refusal::Host(format!("\u{1b}[31m\u{9b}\u{202e}{}", "x".repeat(100_000)));
        let text = refusal.to_string();
        assert!(text.len() < 300 && text.contains("\\u{1b}[31m\\u{9b}\\u{202e}x"), "{text}");
    }

    #[test]
    fn unknown_peer_is_served_if_only_this_machine_can_have_asked() {
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]", "[::1]:80", "127.3.2.1:8080"]
        {
            assert_eq!(asked(None, &[("host", host)]), Access::GrantedToUnknown, "{host}");
        }
        assert_eq!(asked(None, &[]), Access::GrantedToUnknown);
        for host in ["shop.example", "10.0.0.7", "192.168.1.4:3000", "[2001:db8::1]:80", ""] {
            let refused = Access::Refused(Refusal::Host(host.to_owned()));
            assert_eq!(asked(None, &[("host", host)]), refused, "{host}");
        }
        let forwarded = asked(None, &[("host", "localhost"), ("x-forwarded-for", "10.0.0.7")]);
        assert!(matches!(forwarded, Access::Refused(Refusal::Forwarded(_))));
    }
}
