//! What one rule asks of a candidate.
//!
//! Owns: the matchers, all of which must hold, and the rule of trust: a path proves something only on the host, or where
//! the rule names the image, of a file that root owns and nobody else may write. Must not own: reading rules.

use std::net::IpAddr;

use crate::engine::policy::Candidate;
use crate::engine::policy::glob::{list_matches, matches};
use crate::model::contained::Contained;
use crate::model::ids::Inode;
use crate::model::look::FileId;
use crate::model::relay::Relay;
use crate::model::socket::{Direction, Scope};
use crate::model::stdio::TetherKind;

/// Where a rule holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the host only. Rules that name paths hold nowhere else in any case.
    Host,
    /// Anywhere: the same as not asking.
    Any,
    /// In containers whose id is like this.
    Container(String),
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address.
    pub address: IpAddr,
    /// How many bits of it count.
    pub bits: u8,
}

impl Network {
    /// Whether an address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let (net, ip, width) = match (self.address, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => (u128::from(net.to_bits()), u128::from(ip.to_bits()), 32),
            (IpAddr::V6(net), IpAddr::V6(ip)) => (net.to_bits(), ip.to_bits(), 128),
            _ => return false,
        };
        let shift = width - u32::from(self.bits).min(width);
        net.checked_shr(shift).unwrap_or(0) == ip.checked_shr(shift).unwrap_or(0)
    }
}

/// All that a rule asks; what is empty is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matcher {
    /// Paths of the executable.
    pub executable: Vec<String>,
    /// The arguments after `argv[0]`, all of them, in order.
    pub arguments: Vec<String>,
    /// Paths of an ancestor's executable.
    pub ancestor: Vec<String>,
    /// Paths of the relay's executable.
    pub relay: Vec<String>,
    /// Real user ids, in the initial user namespace.
    pub user: Vec<u32>,
    /// Networks of the peer.
    pub peer: Vec<Network>,
    /// Scopes of the peer.
    pub scope: Vec<Scope>,
    /// The peer's ports.
    pub port: Vec<(u16, u16)>,
    /// This end's ports.
    pub local_port: Vec<(u16, u16)>,
    /// Who opened the connection.
    pub direction: Option<Direction>,
    /// Direct or relayed.
    pub tether: Option<TetherKind>,
    /// Rows.
    pub row: Vec<u8>,
    /// Where.
    pub place: Option<Place>,
    /// Images of the container.
    pub images: Vec<String>,
    /// Namespaces of its pod.
    pub namespaces: Vec<String>,
    /// Labels of its pod, `KEY=VALUE`.
    pub labels: Vec<String>,
}

/// Whether a container is as a rule asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It is.
    Yes,
    /// It is not, or nobody can say.
    No,
    /// It may be: not all is known of it yet.
    Later,
}

impl Matcher {
    /// Whether everything holds that it asks of anything but the container.
    pub fn matches(&self, candidate: &Candidate<'_>) -> bool {
        (self.place != Some(Place::Host) || candidate.on_host)
            && (self.row.is_empty() || self.row.contains(&candidate.row.number()))
            && self.direction.is_none_or(|direction| direction == candidate.direction)
            && self.tether.is_none_or(|kind| kind == candidate.kind)
            && self.peer_fits(candidate)
            && (self.user.is_empty() || self.user.contains(&candidate.look.credentials.uid.0))
            && self.executable_fits(candidate)
            && self.arguments_fit(candidate)
            && self.ancestor_fits(candidate)
            && (self.relay.is_empty()
                || candidate.relay.is_some_and(|relay| {
                    self.relay_fits(relay, candidate.host_mount_namespace)
                        || self.relay_fits(relay, self.trusted(candidate))
                }))
    }

    /// Whether it asks for a container.
    pub fn asks_container(&self) -> bool {
        matches!(self.place, Some(Place::Container(_)))
            || [&self.images, &self.namespaces, &self.labels].into_iter().any(|asked| !asked.is_empty())
    }

    /// Whether the container is as it asks.
    pub fn fits(&self, contained: &Contained) -> Fit {
        let (known, none) = match contained {
            Contained::Untold => return Fit::No,
            Contained::Known(known) => (known, Fit::No),
            Contained::Late(known) => (known, Fit::Later),
        };
        let texts = |asked: &[String], found: Option<Vec<String>>| match found {
            _ if asked.is_empty() => Fit::Yes,
            Some(texts) if texts.iter().any(|text| any(asked, text.as_bytes())) => Fit::Yes,
            Some(_) => Fit::No,
            None => none,
        };
        let labels = known.labels.as_ref();
        let labels = labels.map(|list| list.iter().map(|(key, value)| format!("{key}={value}")).collect());
        let id = match &self.place {
            Some(Place::Container(id)) if !matches(id.as_bytes(), known.id.as_str().as_bytes()) => Fit::No,
            _ => Fit::Yes,
        };
        let all = [
            id,
            texts(&self.images, known.image.clone().map(|image| vec![image])),
            texts(&self.namespaces, known.namespace.clone().map(|namespace| vec![namespace])),
            texts(&self.labels, labels),
        ];
        let says = |fit| all.contains(&fit);
        if says(Fit::No) {
            Fit::No
        } else if says(Fit::Later) {
            Fit::Later
        } else {
            Fit::Yes
        }
    }

    /// The mount namespace in which paths prove something: the host's; where the rule names the image, the process's own.
    fn trusted(&self, candidate: &Candidate<'_>) -> Option<Inode> {
        if self.images.is_empty() { candidate.host_mount_namespace } else { candidate.look.namespaces.mnt }
    }

    /// Whether it asks for a relay and nothing else, and this is one.
    pub fn is_relay_alone(&self, relay: &Relay, host: Option<Inode>) -> bool {
        let alone = Self { relay: self.relay.clone(), ..Self::default() };
        !self.relay.is_empty() && *self == alone && self.relay_fits(relay, host)
    }

    fn relay_fits(&self, relay: &Relay, trusted: Option<Inode>) -> bool {
        is_installed(relay, trusted) && any(&self.relay, &relay.process.exe)
    }

    fn executable_fits(&self, candidate: &Candidate<'_>) -> bool {
        let exe = &candidate.look.exe;
        self.executable.is_empty()
            || (self.is_trusted(candidate)
                && !exe.deleted
                && !exe.is_memfd()
                && exe.file.is_some_and(only_root_writes)
                && any(&self.executable, &exe.path))
    }

    /// Whether the process sees the paths that the rule means. Its root is that of its mount namespace: who has changed it
    /// has made the paths below it.
    fn is_trusted(&self, candidate: &Candidate<'_>) -> bool {
        candidate.on_host || !self.images.is_empty() && candidate.look.root == b"/"
    }

    fn arguments_fit(&self, candidate: &Candidate<'_>) -> bool {
        let args = &candidate.look.args;
        self.arguments.is_empty()
            || (!args.truncated
                && args.list.get(1..).is_some_and(|given| list_matches(&self.arguments, given)))
    }

    fn ancestor_fits(&self, candidate: &Candidate<'_>) -> bool {
        // Of an ancestor's file nothing but the owner is known.
        self.ancestor.is_empty()
            || (self.is_trusted(candidate)
                && candidate.look.ancestors.iter().any(|ancestor| {
                    ancestor.mnt_ns.is_some()
                        && ancestor.mnt_ns == self.trusted(candidate)
                        && ancestor.exe_owner.is_some_and(|owner| owner.0 == 0)
                        && any(&self.ancestor, &ancestor.exe)
                }))
    }

    fn peer_fits(&self, candidate: &Candidate<'_>) -> bool {
        let peer = candidate.socket.peer.address();
        let within = |ranges: &[(u16, u16)], port: Option<u32>| {
            ranges.is_empty()
                || port.is_some_and(|port| {
                    ranges.iter().any(|(a, b)| (u32::from(*a)..=u32::from(*b)).contains(&port))
                })
        };
        let ip = peer.and_then(|peer| peer.ip_addr());
        let somewhere = self.peer.is_empty() && self.scope.is_empty()
            || self.scope.contains(&candidate.scope)
            || ip.is_some_and(|ip| self.peer.iter().any(|network| network.contains(ip)));
        somewhere
            && within(&self.port, peer.map(|peer| peer.port()))
            && within(&self.local_port, candidate.socket.local.map(|local| local.port()))
    }
}

fn any(patterns: &[String], text: &[u8]) -> bool {
    patterns.iter().any(|pattern| matches(pattern.as_bytes(), text))
}

/// Whether its path means what it says: in this mount namespace, below its root, a file that only root can have put there.
pub fn is_installed(relay: &Relay, trusted: Option<Inode>) -> bool {
    trusted.is_some()
        && relay.process.mnt_ns == trusted
        && relay.root == b"/"
        && relay.file.is_some_and(only_root_writes)
}

/// Owned by root, and writable by nobody else: neither group nor others (`S_IWGRP`, `S_IWOTH`).
fn only_root_writes(file: FileId) -> bool {
    file.owner.0 == 0 && file.mode & 0o022 == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let network = |text: &str, bits| Network { address: text.parse().unwrap(), bits };
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(network("10.0.0.0", 8).contains(ip("10.9.8.7")));
        assert!(!network("10.0.0.0", 8).contains(ip("11.0.0.1")));
        assert!(network("0.0.0.0", 0).contains(ip("8.8.8.8")));
        assert!(!network("0.0.0.0", 0).contains(ip("::1")));
        assert!(network("::", 0).contains(ip("2001:db8::1")));
        assert!(network("fd00::", 8).contains(ip("fd12::1")));
        assert!(network("192.0.2.7", 32).contains(ip("192.0.2.7")));
    }
}
