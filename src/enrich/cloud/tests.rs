//! Against servers on loopback that play the three clouds, well and badly.

use super::*;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers each request with what `answer` says to it, until the test ends.
fn server(answer: impl Fn(&str, &mut TcpStream) + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (at, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&count);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::Relaxed);
            let mut text = [0; 2048];
            let n = stream.read(&mut text).unwrap_or(0);
            answer(&String::from_utf8_lossy(&text[..n]), &mut stream);
        }
    });
    (at, count)
}

fn good(stream: &mut TcpStream, headers: &str, body: &str) {
    let _ = write!(stream, "HTTP/1.1 200 OK\r\n{headers}\r\n{body}");
}

fn ask(provider: Provider, at: SocketAddr) -> Result<Facts, &'static str> {
    facts_at(provider, at, Instant::now() + Duration::from_secs(20))
}

#[test]
fn the_three_clouds() {
    let (gce, _) = server(|request, stream| {
        assert!(request.contains("Metadata-Flavor: Google"));
        let body = match request.split(' ').nth(1).unwrap() {
            "/computeMetadata/v1/project/project-id" => "shop-prod",
            "/computeMetadata/v1/instance/zone" => "projects/1/zones/europe-west1-b",
            "/computeMetadata/v1/instance/name" => "gke-node-1",
            "/computeMetadata/v1/instance/attributes/cluster-name" => "prod",
            _ => "europe-west1",
        };
        good(stream, "Metadata-Flavor: Google\r\n", body);
    });
    let found = ask(Provider::Gce, gce).unwrap();
    assert_eq!(
        (found.project.as_deref(), found.location.as_deref()),
        (Some("shop-prod"), Some("europe-west1-b"))
    );
    assert_eq!(
        found.resource_name.as_deref(),
        Some("//container.googleapis.com/projects/shop-prod/locations/europe-west1/clusters/prod")
    );
    let (ec2, _) = server(|request, stream| {
        if request.starts_with("PUT /latest/api/token ") && request.contains("ttl-seconds: 60") {
            good(stream, "", "TOKEN==");
        } else if request.contains("X-aws-ec2-metadata-token: TOKEN==") {
            good(
                stream,
                "",
                r#"{"accountId": "123456789012", "region": "eu-west-1", "instanceId": "i-0abc"}"#,
            );
        }
    });
    let found = ask(Provider::Ec2, ec2).unwrap();
    assert_eq!(found.instance.as_deref(), Some("i-0abc"));
    assert_eq!(
        found.resource_name.as_deref(),
        Some("//ec2.amazonaws.com/arn:aws:ec2:eu-west-1:123456789012:instance/i-0abc")
    );
    let (azure, _) = server(|request, stream| {
        assert!(request.contains("Metadata: true"));
        good(
            stream,
            "",
            r#"{"subscriptionId": "s-1", "location": "westeurope", "name": "vm1", "resourceId": "/subscriptions/s-1/x"}"#,
        );
    });
    let found = ask(Provider::Azure, azure).unwrap();
    assert_eq!(found.resource_name.as_deref(), Some("//management.azure.com/subscriptions/s-1/x"));
}

#[test]
fn refusing_redirecting_huge_lying() {
    for provider in [Provider::Gce, Provider::Ec2, Provider::Azure] {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(ask(provider, closed), Err("the metadata server cannot be reached"));
        let (refusing, _) = server(|_, stream| drop(write!(stream, "HTTP/1.1 403 Forbidden\r\n\r\n")));
        assert_eq!(ask(provider, refusing), Err("the metadata server refused"));
        let (target, asked) = server(|_, stream| good(stream, "Metadata-Flavor: Google\r\n", "x"));
        let (moved, _) = server(move |_, stream| {
            drop(write!(stream, "HTTP/1.1 302 Found\r\nLocation: http://{target}/\r\n\r\n"));
        });
        assert_eq!(ask(provider, moved), Err("the metadata server refused"));
        assert_eq!(asked.load(Ordering::Relaxed), 0, "no redirect is followed");
        let (huge, _) = server(|_, stream| {
            good(stream, "Metadata-Flavor: Google\r\n", "");
            let piece = vec![b'x'; 4096];
            while stream.write_all(&piece).is_ok() {}
        });
        assert_eq!(ask(provider, huge), Err("the metadata server's answer is too long"));
        let (noise, _) = server(|_, stream| drop(stream.write_all(b"220 smtp\r\n\r\n")));
        assert_eq!(ask(provider, noise), Err("the metadata server gave no proper answer"));
    }
    // Somebody else on that address, and values that are no names.
    let (other, _) = server(|_, stream| good(stream, "", "x"));
    assert_eq!(ask(Provider::Gce, other), Err("another server answered"));
    let (lying, _) = server(|_, stream| good(stream, "Metadata-Flavor: Google\r\n", "a\u{1b}[2J\"</script>"));
    assert_eq!(ask(Provider::Gce, lying), Ok(Facts::default()));
    let (lying, _) =
        server(|_, stream| good(stream, "", r#"{"name": 7, "location": "a b", "resourceId": "x"}"#));
    assert_eq!(ask(Provider::Azure, lying), Ok(Facts::default()));
    let (token, _) = server(|_, stream| good(stream, "", "a\r\nX-Evil: 1"));
    assert_eq!(ask(Provider::Ec2, token), Err("the metadata server gave no proper token"));
}

/// One that answers a byte at a time never gets to its end: the deadline is for all of it. Nobody waits for it.
#[test]
fn slow() {
    let (slow, _) = server(|_, stream| {
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let began = Instant::now();
    let until = began + Duration::from_millis(300);
    assert_eq!(facts_at(Provider::Gce, slow, until), Err("the metadata server was too slow"));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let cloud = Cloud::ask_at(Provider::Gce, slow);
    assert!(matches!(cloud.known(), Some(Err(_))));
    assert!(Cloud::ask(Provider::Off).known().is_none());
}

#[test]
fn a_zone_that_ends_with_a_slash_is_none() {
    let of = |body: &str| {
        texts_of_cloud(format!("HTTP/1.0 200 OK\r\nMetadata-Flavor: Google\r\n\r\n{body}").as_bytes())
    };
    assert!(of("projects/1/zones/b").contains(&"b".to_owned()));
    assert!(!of("projects/1/zones/").contains(&String::new()));
}
