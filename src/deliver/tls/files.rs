//! Certificates and keys in files.
//!
//! Owns: reading them (PEM), every problem with them, with what to do about it, and telling that they have changed. Must not
//! own: when to read them.

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::deliver::settings::TlsSettings;
use crate::model::text;
use crate::sys::small_file;

/// Where distributions keep the certificates of the CAs that they trust: Debian, Alpine and Arch; Red Hat and Fedora, the
/// older and the newer place; SUSE.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];
/// The longest file; distributions' bundles have about a quarter of it.
const FILE_MAX: u64 = 1 << 20;
/// Most certificates that are shown, the first with its key.
const CHAIN_MAX: usize = 10;

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// The key of the configuration that names it.
    pub key: &'static str,
    /// What is wrong, with the file's name.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}", self.key, self.what, self.remedy)
    }
}

/// What a file looks like from outside: device, inode, size, mode, time of the last change of content and of anything.
pub type Stamp = (u64, u64, u64, u32, (i64, i64), (i64, i64));

/// What the files look like now; `None` for one that is not there.
pub fn stamps(settings: &TlsSettings) -> Vec<Option<Stamp>> {
    let named = [&settings.ca, &settings.certificate, &settings.key];
    let system = SYSTEM.iter().map(Path::new).filter(|_| !is_set(&settings.ca));
    let all = named.into_iter().map(PathBuf::as_path).filter(|path| is_set(path)).chain(system);
    let stamp = |found: Metadata| {
        let times = ((found.mtime(), found.mtime_nsec()), (found.ctime(), found.ctime_nsec()));
        (found.dev(), found.ino(), found.size(), found.mode(), times.0, times.1)
    };
    all.map(|path| std::fs::metadata(path).ok().map(stamp)).collect()
}

/// Reads the files.
///
/// # Errors
/// Every problem with them.
pub fn load(settings: &TlsSettings) -> Result<ClientConfig, Vec<Unfit>> {
    let roots = if is_set(&settings.ca) { own_roots(&settings.ca) } else { system_roots() };
    let identity = is_set(&settings.certificate).then(|| {
        let (chain, key) = (chain(&settings.certificate), key(&settings.key));
        match (chain, key) {
            (Ok(chain), Ok(key)) => Ok((chain, key)),
            (chain, key) => Err(chain.err().into_iter().chain(key.err()).collect::<Vec<_>>()),
        }
    });
    let (roots, identity) = match (roots, identity.transpose()) {
        (Ok(roots), Ok(identity)) => (roots, identity),
        (roots, identity) => {
            return Err(roots.err().into_iter().chain(identity.err().into_iter().flatten()).collect());
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| vec![unfit("ca", &settings.ca, &format!("cannot be used ({error})"), "")])?
        .with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| vec![mismatch(settings, &error)])?
        }
    };
    // Each connection checks the receiver anew: a certificate that has expired since, a CA that is no longer trusted.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// A path or file name in a sentence.
pub fn shown(path: &Path) -> String {
    text::escape(path.as_os_str().as_encoded_bytes())
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn unfit(key: &'static str, path: &Path, what: &str, remedy: &str) -> Unfit {
    Unfit { key, what: format!("{} {what}", shown(path)), remedy: remedy.to_owned() }
}

fn quoted(path: &Path) -> String {
    text::shell_quote(&path.to_string_lossy())
}

/// A file's content, where nobody but its owner and group could have written it, and with `secret` read it.
fn read(key: &'static str, path: &Path, wanted: &str, secret: bool) -> Result<Vec<u8>, Unfit> {
    let unreadable = |error: io::Error| {
        unfit(key, path, &format!("cannot be read ({error})"), &format!("name a file with {wanted} in PEM"))
    };
    let (file, found) = small_file::open(path).map_err(unreadable)?;
    let mode = found.mode() & 0o7777;
    for (bit, may, change) in [(0o002, "write", "o-w"), (0o004, "read", "o-rwx")] {
        if mode & bit != 0 && (secret || bit == 0o002) {
            let what = format!("is a file that everybody may {may} (mode {mode:04o})");
            return Err(unfit(key, path, &what, &format!("chmod {change} {}", quoted(path))));
        }
    }
    let remedy = format!("name a file with {wanted} alone");
    small_file::read(file, FILE_MAX)
        .map_err(unreadable)?
        .ok_or_else(|| unfit(key, path, "is longer than 1 MiB", &remedy))
}

fn certificates(key: &'static str, path: &Path, wanted: &str) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let bytes = read(key, path, wanted, false)?;
    let remedy = format!("name a file with {wanted} in PEM (BEGIN CERTIFICATE)");
    let found: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(list) if list.is_empty() => Err(unfit(key, path, "holds no certificate", &remedy)),
        Ok(list) => Ok(list),
        Err(error) => Err(unfit(key, path, &format!("is no whole PEM ({error})"), &remedy)),
    }
}

fn own_roots(path: &Path) -> Result<RootCertStore, Unfit> {
    let wanted = "the certificate of the receiver's CA";
    let mut store = RootCertStore::empty();
    for (n, certificate) in certificates("ca", path, wanted)?.into_iter().enumerate() {
        store.add(certificate).map_err(|error| {
            let what = format!("holds a certificate, number {}, that is none ({error})", n + 1);
            unfit("ca", path, &what, &format!("name a file with {wanted} in PEM"))
        })?;
    }
    Ok(store)
}

/// Of a bundle that others made, what can be used.
fn system_roots() -> Result<RootCertStore, Unfit> {
    let remedy = "install the package ca-certificates, or set ca";
    let Some(path) = SYSTEM.iter().map(Path::new).find(|path| path.exists()) else {
        let what = format!("is not set, and the system has none of {}", SYSTEM.join(", "));
        return Err(Unfit { key: "ca", what, remedy: remedy.into() });
    };
    let mut store = RootCertStore::empty();
    let (added, _) = store.add_parsable_certificates(certificates("ca", path, "the CAs to trust")?);
    if added == 0 { Err(unfit("ca", path, "holds no CA's certificate", remedy)) } else { Ok(store) }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unfit> {
    let mut chain = certificates("certificate", path, "the certificate of this node")?;
    chain.truncate(CHAIN_MAX);
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Unfit> {
    let bytes = read("key", path, "the certificate's private key", true)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let locked = bytes.windows(9).any(|word| word == b"ENCRYPTED");
        let (what, remedy) = match error {
            pem::Error::NoItemsFound if locked => (
                "holds a key with a passphrase, which nobody is there to type".to_owned(),
                format!("openssl pkey -in {} -out FILE takes the passphrase away", quoted(path)),
            ),
            pem::Error::NoItemsFound => (
                "holds no private key".to_owned(),
                "name a file with the key in PEM (BEGIN PRIVATE KEY)".to_owned(),
            ),
            error => (format!("is no whole PEM ({error})"), "copy it once more".to_owned()),
        };
        unfit("key", path, &what, &remedy)
    })
}

/// Why a certificate and a key do not go together.
fn mismatch(settings: &TlsSettings, error: &rustls::Error) -> Unfit {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            let what = format!("does not belong to the certificate {}", shown(&settings.certificate));
            let remedy = "name the key that the certificate was made for; the first certificate in its file is this node's";
            unfit("key", &settings.key, &what, remedy)
        }
        rustls::Error::InvalidCertificate(_) => {
            let what = format!("holds a certificate that is none ({error})");
            unfit("certificate", &settings.certificate, &what, "copy it once more")
        }
        _ => {
            let what = format!("holds a key that cannot be used ({error})");
            unfit("key", &settings.key, &what, "make one of RSA (2048 bits or more), ECDSA or Ed25519")
        }
    }
}
