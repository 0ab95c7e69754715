//! Certificates as a test wants them, and receivers that show them.

use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::receiver::{Arrived, Tcp, read_all};

/// A CA.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A certificate with its key.
pub struct Identity {
    pub pem: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A certificate for these names, after a `change` to it.
    pub fn issue(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(owned(names)).unwrap();
        params.distinguished_name.push(DnType::CommonName, "node");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Identity { pem, key: key.serialize_pem() }
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()).unwrap();
        roots
    }
}

impl Identity {
    /// Signed by itself, and no CA.
    pub fn of_nobody(names: &[&str]) -> Self {
        let params = CertificateParams::new(owned(names)).unwrap();
        let key = KeyPair::generate().unwrap();
        Self { pem: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A server that shows it, and asks for a certificate of `clients`.
    pub fn server(
        &self,
        clients: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(
                WebPkiClientVerifier::builder_with_provider(clients.roots().into(), provider)
                    .build()
                    .unwrap(),
            ),
        };
        let chain = vec![CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        Arc::new(builder.with_single_cert(chain, key).unwrap())
    }

    /// A server as it usually is.
    pub fn usual(&self) -> Arc<ServerConfig> {
        self.server(None, rustls::ALL_VERSIONS)
    }
}

/// One connection's session.
pub type Session = StreamOwned<ServerConnection, TcpStream>;

/// The session of a connection, in which nothing has been said.
pub fn session(config: &Arc<ServerConfig>, stream: TcpStream) -> Session {
    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
}

/// Reads all messages, and says the end as RFC 5425 section 4.4 asks.
pub fn serve(config: &Arc<ServerConfig>, stream: TcpStream, arrived: &Arrived) {
    let mut session = session(config, stream);
    read_all(&mut session, arrived);
    session.conn.send_close_notify();
    let _ = session.flush();
}

/// A receiver that does that for each connection.
pub fn receiver(config: Arc<ServerConfig>) -> Tcp {
    Tcp::new(move |_, stream, arrived| serve(&config, stream, arrived))
}

/// Writes a file of this mode.
pub fn file(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    let new = directory.join(format!("{name}.new"));
    std::fs::write(&new, text).unwrap();
    std::fs::set_permissions(&new, std::fs::Permissions::from_mode(mode)).unwrap();
    std::fs::rename(&new, &path).unwrap();
    path
}
