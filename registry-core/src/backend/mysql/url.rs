//! The driver's configuration from a URL.

use mysql_async::{Opts, OptsBuilder, UrlError};

use crate::settings::DatabaseUrl;
use crate::settings::url::tls::TlsMode;

pub(crate) fn parse(url: &DatabaseUrl) -> Result<Opts, String> {
    let opts = Opts::from_url(&url.for_driver()).map_err(|error| match error {
        // mysql_async's own text repeats the value, which may be a password.
        UrlError::InvalidParamValue { param, .. } => {
            format!("the parameter `{param}` cannot have that value")
        }
        error => url.redact_message(&error.to_string()),
    })?;
    // mysql_async would look up `[::1]` as the name of a host.
    let host = opts.ip_or_hostname();
    Ok(match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => {
            let address = address.to_owned();
            OptsBuilder::from_opts(opts).ip_or_hostname(address).into()
        }
        None => opts,
    })
}

/// Whether TLS is tried. The socket file, for which mysql_async asks the server over the first connection, would be used
/// without TLS.
pub(super) fn asks_for_tls(url: &DatabaseUrl) -> bool {
    cfg!(feature = "rustls") && url.tls().is_some_and(|tls| tls.mode > TlsMode::Disable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> Result<Opts, String> {
        parse(&DatabaseUrl::parse(url).unwrap())
    }

    #[test]
    fn an_ipv6_address_is_handed_on_without_its_brackets() {
        let opts = parsed("mysql://u:pw@[::1]:3307/db?pool_min=1&pool_max=2").unwrap();
        assert_eq!(opts.ip_or_hostname(), "::1");
        assert_eq!(opts.tcp_port(), 3307);
        assert_eq!((opts.user(), opts.pass()), (Some("u"), Some("pw")));
        assert_eq!(opts.db_name(), Some("db"));
        assert_eq!(parsed("mysql://u@127.0.0.1/db").unwrap().ip_or_hostname(), "127.0.0.1");
        assert_eq!(parsed("mysql://u@db.example/db").unwrap().ip_or_hostname(), "db.example");
    }

    #[test]
    fn what_the_driver_says_of_a_url_repeats_no_value() {
        assert_eq!(
            parsed("mysql://h/db?pool_min=zauber").unwrap_err(),
            "the parameter `pool_min` cannot have that value"
        );
        assert_eq!(
            parsed("mysql://h/db?zauber==").unwrap_err(),
            "Unknown connection URL parameter `***'"
        );
    }
}
