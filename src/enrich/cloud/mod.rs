//! What the cloud's metadata server says of this machine.
//!
//! Owns: asking it once, on a thread of its own, and what its answers mean. Must not own: waiting for it: a record has what
//! is known by then. Off unless it is configured. Everything it says is checked and bounded; a server that is slow,
//! absent or lies costs the fields it would have given.

mod http;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use serde_json::Value;

use http::{Answer, Method, parse, request};

/// How long everything may take together.
const DEADLINE: Duration = Duration::from_secs(3);
/// The longest value, in bytes.
const VALUE_MAX: usize = 256;
/// Where all three clouds have it.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Which server is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provider {
    /// None.
    #[default]
    Off,
    /// Google Compute Engine.
    Gce,
    /// Amazon EC2, version 2 of its service.
    Ec2,
    /// Microsoft Azure.
    Azure,
}

impl Provider {
    /// The word in the configuration and in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Gce => "gce",
            Self::Ec2 => "ec2",
            Self::Azure => "azure",
        }
    }

    /// The provider of a word.
    pub fn of(name: &str) -> Option<Self> {
        [Self::Off, Self::Gce, Self::Ec2, Self::Azure].into_iter().find(|provider| provider.name() == name)
    }
}

/// What it said; every part may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Project, account or subscription.
    pub(super) project: Option<String>,
    /// Zone, region or location.
    pub(super) location: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) cluster: Option<String>,
    /// The full resource name of the cluster, else of the machine.
    pub(super) resource_name: Option<String>,
}

/// The answer, as soon as it is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Cloud {
    pub(super) provider: Provider,
    answer: Arc<OnceLock<Result<Facts, &'static str>>>,
}

impl Cloud {
    /// Asks, on a thread of its own.
    pub(super) fn ask(provider: Provider) -> Self {
        Self::ask_at(provider, SocketAddr::from((ADDRESS, 80)))
    }

    fn ask_at(provider: Provider, server: SocketAddr) -> Self {
        let cloud = Self { provider, answer: Arc::default() };
        if provider != Provider::Off {
            let answer = Arc::clone(&cloud.answer);
            let started = std::thread::Builder::new().name("tetherd-cloud".into()).spawn(move || {
                let _ = answer.set(facts_at(provider, server, Instant::now() + DEADLINE));
            });
            if started.is_err() {
                let _ = cloud.answer.set(Err("its thread could not be started"));
            }
        }
        cloud
    }

    /// What is known now; `None`: nothing is asked.
    pub(super) fn known(&self) -> Option<Result<&Facts, &'static str>> {
        if self.provider == Provider::Off {
            return None;
        }
        let answer = self.answer.get().map(|answer| answer.as_ref().map_err(|why| *why));
        Some(answer.unwrap_or(Err("the metadata server has not answered yet")))
    }
}

/// How a server is asked: the method, the path, headers.
type Ask<'a> = &'a dyn Fn(Method, &str, &[(&str, &str)]) -> Result<Answer, &'static str>;

/// Every text that a record would have, were these bytes what any cloud's server answers to anything. For the fuzzer.
pub fn texts_of_cloud(answer: &[u8]) -> Vec<String> {
    let told = [Provider::Gce, Provider::Ec2, Provider::Azure]
        .map(|provider| facts(provider, &|_, _, _| parse(answer)));
    let texts =
        |known: Facts| [known.project, known.location, known.instance, known.cluster, known.resource_name];
    told.into_iter().flatten().flat_map(texts).flatten().collect()
}

fn facts_at(provider: Provider, server: SocketAddr, until: Instant) -> Result<Facts, &'static str> {
    facts(provider, &|method, path, headers| request(server, method, path, headers, until))
}

fn facts(provider: Provider, ask: Ask) -> Result<Facts, &'static str> {
    match provider {
        Provider::Off => Ok(Facts::default()),
        Provider::Gce => gce(ask),
        Provider::Ec2 => ec2(ask),
        Provider::Azure => azure(ask),
    }
}

fn gce(ask: Ask) -> Result<Facts, &'static str> {
    let get = |path: &str| {
        let path = format!("/computeMetadata/v1/{path}");
        let answer = ask(Method::Get, &path, &[("Metadata-Flavor", "Google")])?;
        // A server that is not Google's does not say so.
        if answer.header("metadata-flavor") == Some("Google") {
            Ok(answer.body)
        } else {
            Err("another server answered")
        }
    };
    let project = value(&get("project/project-id")?);
    let part = |path: &str| get(path).ok().and_then(|text| value(&text));
    let last = |text: String| text.rsplit('/').next().filter(|last| !last.is_empty()).map(str::to_owned);
    let zone = part("instance/zone").and_then(last);
    let instance = part("instance/name");
    let cluster = part("instance/attributes/cluster-name");
    let place = part("instance/attributes/cluster-location");
    let resource_name = match (&project, &cluster, &place, &zone, &instance) {
        (Some(project), Some(cluster), Some(place), ..) => Some(format!(
            "//container.googleapis.com/projects/{project}/locations/{place}/clusters/{cluster}"
        )),
        (Some(project), _, _, Some(zone), Some(instance)) => {
            Some(format!("//compute.googleapis.com/projects/{project}/zones/{zone}/instances/{instance}"))
        }
        _ => None,
    };
    Ok(Facts { project, location: zone, instance, cluster, resource_name })
}

fn ec2(ask: Ask) -> Result<Facts, &'static str> {
    let ttl = [("X-aws-ec2-metadata-token-ttl-seconds", "60")];
    let token = value(&ask(Method::Put, "/latest/api/token", &ttl)?.body);
    let token = token.ok_or("the metadata server gave no proper token")?;
    let document = "/latest/dynamic/instance-identity/document";
    let answer = ask(Method::Get, document, &[("X-aws-ec2-metadata-token", &token)])?;
    let json = json(&answer.body)?;
    let (project, location, instance) =
        (field(&json, "accountId"), field(&json, "region"), field(&json, "instanceId"));
    let resource_name = match (&project, &location, &instance) {
        (Some(account), Some(region), Some(instance)) => {
            Some(format!("//ec2.amazonaws.com/arn:aws:ec2:{region}:{account}:instance/{instance}"))
        }
        _ => None,
    };
    Ok(Facts { project, location, instance, cluster: None, resource_name })
}

fn azure(ask: Ask) -> Result<Facts, &'static str> {
    let path = "/metadata/instance/compute?api-version=2021-02-01";
    let json = json(&ask(Method::Get, path, &[("Metadata", "true")])?.body)?;
    let id = json.get("resourceId").and_then(Value::as_str);
    let id = id.filter(|id| id.starts_with('/') && id.len() <= 512 && id.bytes().all(proper));
    Ok(Facts {
        project: field(&json, "subscriptionId"),
        location: field(&json, "location"),
        instance: field(&json, "name"),
        cluster: None,
        resource_name: id.map(|id| format!("//management.azure.com{id}")),
    })
}

fn json(text: &[u8]) -> Result<Value, &'static str> {
    serde_json::from_slice(text).map_err(|_| "the metadata server gave no proper answer")
}

fn field(json: &Value, key: &str) -> Option<String> {
    value(json.get(key)?.as_str()?.as_bytes())
}

/// A value that can be part of a name.
fn value(text: &[u8]) -> Option<String> {
    let text = text.trim_ascii();
    let fits = (1..=VALUE_MAX).contains(&text.len()) && text.iter().copied().all(proper);
    fits.then(|| String::from_utf8_lossy(text).into_owned())
}

fn proper(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_./:=+@()".contains(&byte)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
