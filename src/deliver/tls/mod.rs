//! Whom to trust over TLS, and as whom to appear.
//!
//! Owns: the client of one destination, made of its files, and made anew when they have changed; the name that the
//! receiver's certificate has to have. Must not own: what is wrong with a file (`files`) or a handshake (`why`), the
//! connection (`link::tls`).
//!
//! Without `ca`, the distribution's own bundle is trusted, as any other program on this machine does: what an administrator
//! adds there or takes out counts, and no list ages within this program. The provider is ring, and nothing is compiled in
//! that this has no need of.

pub mod files;
pub mod why;

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::deliver::settings::{Destination, TlsSettings, host_and_port};
use crate::deliver::tls::files::Stamp;

/// Bytes that wait, encrypted, for the kernel to take them; then no more is taken.
const BUFFER_MAX: usize = 64 << 10;

/// Makes the sessions of one destination.
#[derive(Debug)]
pub struct Client {
    settings: TlsSettings,
    name: ServerName<'static>,
    made: Option<(Vec<Option<Stamp>>, Arc<ClientConfig>)>,
}

impl Client {
    /// Of `destination`; its files are read when they are needed.
    ///
    /// # Errors
    /// Its receiver's certificate can have no such name.
    pub fn new(destination: &Destination) -> Result<Self, &'static str> {
        Ok(Self { settings: destination.tls.clone(), name: server_name(destination)?, made: None })
    }

    /// Reads the files if they are others than the last time.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn refresh(&mut self) -> io::Result<Arc<ClientConfig>> {
        // Before they are read: what changes meanwhile is seen the next time.
        let stamps = files::stamps(&self.settings);
        if let Some((read, config)) = &self.made
            && *read == stamps
        {
            return Ok(config.clone());
        }
        self.made = None;
        let config = files::load(&self.settings).map_err(|unfit| {
            let what = unfit.first().map_or_else(String::new, ToString::to_string);
            io::Error::new(io::ErrorKind::InvalidInput, what)
        })?;
        Ok(self.made.insert((stamps, Arc::new(config))).1.clone())
    }

    /// A session in which nothing has been said.
    ///
    /// # Errors
    /// There are no random numbers, or the files cannot be used.
    pub fn session(&mut self) -> io::Result<ClientConnection> {
        let mut session =
            ClientConnection::new(self.refresh()?, self.name.clone()).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(BUFFER_MAX));
        Ok(session)
    }

    /// Where a certificate comes from that is not trusted, for a sentence.
    pub fn strange(&self) -> String {
        match self.settings.ca.as_path() {
            none if none == Path::new("") => "none of the system's CAs".to_owned(),
            ca => format!("no CA in {}", files::shown(ca)),
        }
    }

    /// Whether there is a certificate to be shown.
    pub fn has_certificate(&self) -> bool {
        self.settings.certificate != Path::new("")
    }
}

/// The name that the certificate has to have.
///
/// # Errors
/// It is no host's name and no address.
pub fn server_name(destination: &Destination) -> Result<ServerName<'static>, &'static str> {
    let name = match destination.tls.server_name.as_str() {
        "" => host_and_port(&destination.address)?.0,
        name => name,
    };
    ServerName::try_from(name.to_owned()).map_err(|_| "no certificate can have this name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deliver::settings::Transport;

    #[test]
    fn the_name_is_the_address_unless_it_is_set() {
        let name = |address: &str, set: &str| {
            let tls = TlsSettings { server_name: set.into(), ..TlsSettings::default() };
            let transport = Some(Transport::Tls);
            let destination =
                Destination { transport, address: address.into(), tls, ..Destination::default() };
            server_name(&destination).map(|name| name.to_str().into_owned())
        };
        assert_eq!(name("siem.example:6514", "").unwrap(), "siem.example");
        assert_eq!(name("192.0.2.1:6514", "").unwrap(), "192.0.2.1");
        assert_eq!(name("[2001:db8::1]:6514", "").unwrap(), "2001:db8::1");
        assert_eq!(name("192.0.2.1:6514", "siem.example").unwrap(), "siem.example");
        assert!(name("[fe80::1%eth0]:6514", "").is_err());
        assert!(name("siem.example:6514", "*.example").is_err());
    }
}
