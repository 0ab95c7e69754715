//! Records of the shapes, as the enrichment makes them and the spool's writer writes them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tetherd::enrich::{EnrichSettings, Enricher, MetadataSettings};
use tetherd::model::clock::Moment;
use tetherd::model::detection::Detection;
use tetherd::model::finding::Record;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

use crate::shapes;

pub const BOOT: &str = "0b1c7d1e-5a8b-4f1e-9b39-0a6c8f2f8f11";
pub const NOW: Moment = Moment { mono_ns: 5_000_000_000, wall_ns: 1_795_492_218_131_000_000 };

pub fn enricher() -> Enricher {
    let settings = EnrichSettings {
        node_name: "node-7".into(),
        resource_name: "//k8s.local/clusters/prod".into(),
        resource_display_name: "prod".into(),
        // A busy machine must not decide what the record holds.
        digest_wait_ms: 30_000,
        ..EnrichSettings::default()
    };
    Enricher::new(settings, BOOT.into())
}

/// The record of a shell in a pod whose runtime has its names and image on disk.
pub fn record_with_names(directory: &Path) -> Record {
    let bundle = directory.join("io.containerd.runtime.v2.task/k8s.io").join(shapes::CONTAINER);
    fs::create_dir_all(&bundle).unwrap();
    let annotations = json!({"annotations": {
        "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.image-name": "registry.example/app:1.2",
        "io.kubernetes.cri.sandbox-id": "x", "io.kubernetes.cri.sandbox-name": "web-7d9f",
        "io.kubernetes.cri.sandbox-namespace": "shop"}});
    fs::write(bundle.join("config.json"), annotations.to_string()).unwrap();
    let containerd = vec![directory.to_str().unwrap().to_owned()];
    let settings = EnrichSettings {
        digest_wait_ms: 30_000,
        metadata: MetadataSettings { containerd, ..MetadataSettings::default() },
        ..EnrichSettings::default()
    };
    Enricher::new(settings, BOOT.into()).record(&shapes::pod(), NOW)
}

pub fn record(detection: &Detection) -> Record {
    enricher().record(detection, NOW)
}

/// The lines of a spool that these records were written to, in order.
pub fn spooled(directory: &Path, records: &mut [Record], settings: SpoolSettings) -> String {
    let settings = SpoolSettings { directory: directory.into(), min_free_bytes: 0, ..settings };
    let (mut writer, _) = Writer::open(settings, BOOT).unwrap();
    for record in records {
        writer.append(std::slice::from_mut(record)).unwrap();
    }
    let mut segments: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    segments.sort();
    segments.iter().map(|path| fs::read_to_string(path).unwrap()).collect()
}
