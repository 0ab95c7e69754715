//! Giving up what the daemon has no need of.
//!
//! Owns: which capabilities a configuration needs, and taking away the rest, new privileges and other system calls. Must not
//! own: the list of calls (`calls`). It is done before the first thread is started: capabilities and filters belong to a
//! thread, and the next one has what its maker had. What only some machines need is kept where it was given: without
//! CAP_SYS_ADMIN sockets of other network namespaces are not asked about.

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use crate::config::Config;
use crate::config::control::SystemCalls;
use crate::daemon::calls;
use crate::daemon::error::DaemonError;
use crate::enrich::settings::Provider;
use crate::sensor::settings::FanotifyMode;
use crate::sys::seccomp::{self, Otherwise};

/// What each of them is for: SECURITY.md.
const ALWAYS: [CapabilitySet; 5] = [
    CapabilitySet::NET_ADMIN,
    CapabilitySet::SYS_PTRACE,
    CapabilitySet::DAC_READ_SEARCH,
    CapabilitySet::SYS_NICE,
    CapabilitySet::SYS_ADMIN,
];

/// What this configuration may need.
pub fn needed(config: &Config) -> CapabilitySet {
    let hold = config.sensor.fanotify == FanotifyMode::Hold;
    let always = ALWAYS.into_iter().fold(CapabilitySet::empty(), CapabilitySet::union);
    if hold { always | CapabilitySet::IPC_LOCK } else { always }
}

/// Takes away what this configuration has no need of, for good.
pub fn confine(config: &Config) -> Result<(), DaemonError> {
    set_no_new_privs(true).map_err(|error| DaemonError::Confine(error.into()))?;
    if let Err(error) = drop_capabilities(needed(config)) {
        log::warn!("capabilities that are not needed are kept: {error}");
    }
    let otherwise = match config.control.system_calls {
        SystemCalls::Refuse => Otherwise::Refuse,
        SystemCalls::Log => Otherwise::Log,
        SystemCalls::Off => return Ok(()),
    };
    let network = config.enrich.metadata_server != Provider::Off
        || config.destinations().iter().any(|destination| !destination.transport().is_local());
    if let Err(error) = seccomp::confine(calls::OFTEN, &calls::list(network), otherwise) {
        log::warn!("system calls are not filtered: {error}");
    }
    Ok(())
}

/// The bounding set says what a program may have at most that is executed from here on. With no_new_privs none gets more
/// than it had, so that it is no loss where its change is refused for want of CAP_SETPCAP.
fn drop_capabilities(needed: CapabilitySet) -> io::Result<()> {
    for capability in CapabilitySet::all().difference(needed).iter() {
        // Not every kernel knows every one.
        let _ = remove_capability_from_bounding_set(capability);
    }
    let _ = clear_ambient_capability_set();
    let now = capabilities(None)?;
    let left = now.permitted.intersection(needed);
    // A service manager that gave no more than is needed may refuse the call.
    if now.permitted == left && now.inheritable.is_empty() {
        return Ok(());
    }
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_holding_needs_locked_memory() {
        let mut config = Config::default();
        assert!(!needed(&config).contains(CapabilitySet::IPC_LOCK));
        assert!(!needed(&config).contains(CapabilitySet::DAC_OVERRIDE));
        config.override_fanotify(FanotifyMode::Hold);
        assert_eq!(needed(&config).iter().count(), ALWAYS.len() + 1);
    }
}
