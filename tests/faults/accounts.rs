//! Accounts with an authentication method that is particular to a server.

use registry_core::{Mysql, Registry};

use crate::support::mariadb;

#[tokio::test]
async fn mariadb_account_can_authenticate_by_ed25519() {
    let url = mariadb().database("curve");
    mariadb().execute("INSTALL SONAME 'auth_ed25519'");
    mariadb().execute("DROP USER IF EXISTS curve@'127.0.0.1'");
    mariadb()
        .execute("CREATE USER curve@'127.0.0.1' IDENTIFIED VIA ed25519 USING PASSWORD('sesame')");
    mariadb().execute("GRANT ALL ON *.* TO curve@'127.0.0.1'");
    let url = super::servers::as_account(&url, "curve");
    let registry = Registry::builder().bind("default", url).build().expect("good settings");
    registry.session_by_key::<Mysql>("default").await.expect("a session");
}
