//! Certificates of every kind, generated in each run.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SignatureAlgorithm, date_time_ymd,
};

/// A certificate and its private key, as PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// One certificate of each kind, and the files of authorities for clients.
pub(crate) struct Certificates {
    pairs: Vec<(&'static str, Pair)>,
    /// The file of the trusted authority.
    pub(crate) authority: PathBuf,
    /// The file of the self-signed certificate.
    pub(crate) leaf: PathBuf,
    /// The folder of the clients' certificates and keys: `<name>.pem` and `<name>.key`.
    pub(crate) clients: PathBuf,
}

impl Certificates {
    pub(crate) fn in_folder(folder: PathBuf) -> Self {
        let (trusted, authority) = issuer("trusted", &PKCS_ECDSA_P256_SHA256);
        // Signed with another hash, which channel binding must use too.
        let (stranger, _) = issuer("stranger", &PKCS_ECDSA_P384_SHA384);
        let here = &["127.0.0.1", "localhost"];

        let mut expired = params(here);
        expired.not_before = date_time_ymd(2020, 1, 1);
        expired.not_after = date_time_ymd(2021, 1, 1);

        // As `openssl req -x509` generates it.
        let mut own = params(&["localhost"]);
        own.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let own = Pair {
            certificate: own.self_signed(&key).expect("a certificate").pem(),
            key: key.serialize_pem(),
        };

        Self {
            authority: file(&folder, "authority.pem", &authority.pem()),
            leaf: file(&folder, "leaf.pem", &own.certificate),
            clients: clients(&folder, &trusted, &stranger),
            pairs: vec![
                ("right", signed(&params(here), &trusted)),
                ("expired", signed(&expired, &trusted)),
                ("wrong name", signed(&params(&["*.elsewhere.example"]), &trusted)),
                ("wrong address", signed(&params(&["192.0.2.1"]), &trusted)),
                ("nameless", signed(&params(&[]), &trusted)),
                ("unknown", signed(&params(here), &stranger)),
                ("self-signed", own),
            ],
        }
    }

    /// The certificate by its name; `None` for "none".
    pub(crate) fn pair(&self, name: &str) -> Option<&Pair> {
        let found = self.pairs.iter().find(|(key, _)| *key == name).map(|(_, pair)| pair);
        assert!(found.is_some() || name == "none", "no such certificate: {name}");
        found
    }
}

fn file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a file");
    path
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    CertificateParams::new(names).expect("good names")
}

fn issuer(
    name: &str,
    algorithm: &'static SignatureAlgorithm,
) -> (Issuer<'static, KeyPair>, Certificate) {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate_for(algorithm).expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (Issuer::new(params, key), certificate)
}

fn signed(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Pair {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.signed_by(&key, issuer).expect("a certificate").pem();
    Pair { certificate, key: key.serialize_pem() }
}

/// An RSA key, which rcgen cannot generate. It is for these tests alone.
pub(crate) const RSA_KEY: &str = include_str!("client_rsa_key.pem");

/// An encrypted key. It is for these tests alone.
pub(crate) const ENCRYPTED_KEY: &str = include_str!("client_encrypted_key.pem");

/// Certificates of clients, with the name of the user as the common name.
fn clients(
    folder: &Path,
    trusted: &Issuer<'_, KeyPair>,
    stranger: &Issuer<'_, KeyPair>,
) -> PathBuf {
    let folder = folder.join("clients");
    std::fs::create_dir(&folder).expect("a folder");
    let rsa = || KeyPair::from_pem(RSA_KEY).expect("a key");
    let elliptic = || KeyPair::generate().expect("a key");
    for (name, user, key, issuer) in [
        ("admin", "admin", elliptic(), trusted),
        ("rsa", "admin", rsa(), trusted),
        ("someone", "someone", elliptic(), trusted),
        ("stranger", "admin", rsa(), stranger),
    ] {
        let mut params = params(&[]);
        params.distinguished_name.push(DnType::CommonName, user);
        let certificate = params.signed_by(&key, issuer).expect("a certificate");
        file(&folder, &format!("{name}.pem"), &certificate.pem());
        secret_file(&folder, &format!("{name}.key"), &key.serialize_pem());
    }
    secret_file(&folder, "encrypted.key", ENCRYPTED_KEY);
    let open = secret_file(&folder, "open.key", &elliptic().serialize_pem());
    set_mode(&open, 0o644);
    folder
}

fn secret_file(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = file(folder, name, content);
    set_mode(&path, 0o600);
    path
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("our file");
}
