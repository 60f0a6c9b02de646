//! The certificates and the key for TLS that options give.

use std::path::PathBuf;

use crate::settings::error::Problem;
use crate::settings::options::{OptionLayers, PartialOptions, Pem};
use crate::settings::url::DatabaseUrl;
use crate::settings::url::tls::{Given, PemSource, TlsMaterial};

/// An option that names a file, and the one that has the same content.
type FileOrPem<'a> = (&'a Option<Option<PathBuf>>, &'a Option<Option<Pem>>);

/// The certificates and the key of the uppermost layer that gives them, whether as a file or from memory.
pub(super) fn material(layers: &OptionLayers<'_>) -> Result<TlsMaterial, Problem> {
    Ok(TlsMaterial {
        roots: given(layers, "sslrootcert_pem", |options| {
            (&options.sslrootcert, &options.sslrootcert_pem)
        })?,
        certificate: given(layers, "sslcert_pem", |options| {
            (&options.sslcert, &options.sslcert_pem)
        })?,
        key: given(layers, "sslkey_pem", |options| (&options.sslkey, &options.sslkey_pem))?,
    })
}

/// `pem_name` is the option for the content, for a problem.
fn given(
    layers: &OptionLayers<'_>,
    pem_name: &str,
    pick: impl Fn(&PartialOptions) -> FileOrPem<'_>,
) -> Result<Option<Given>, Problem> {
    let bind = layers.bind.map(|bind| (bind, false));
    let general = [(layers.general, false), (layers.builder, false)];
    for (layer, is_own) in [(layers.own, true)].into_iter().chain(bind).chain(general) {
        let source = match pick(&layer.options) {
            (Some(Some(_)), Some(Some(_))) => {
                let place = layer.place(pem_name).unwrap_or(pem_name);
                let file = pem_name.trim_end_matches("_pem");
                return Err(Problem::new(place, format!("given twice: `{file}` gives it as well")));
            }
            (Some(Some(file)), _) => PemSource::File(file.clone()),
            (_, Some(Some(pem))) => PemSource::Memory(pem.clone()),
            (None, None) => continue,
            // Switched off by "none".
            _ => return Ok(None),
        };
        return Ok(Some(Given { source, is_own }));
    }
    Ok(None)
}

/// The URL with this material.
pub(super) fn applied(
    material: &TlsMaterial,
    url: DatabaseUrl,
    place: &str,
) -> Result<DatabaseUrl, Problem> {
    if *material == TlsMaterial::default() {
        return Ok(url);
    }
    url.with_tls_material(material).map_err(|invalid| Problem::new(place, invalid))
}
