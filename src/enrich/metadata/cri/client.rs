//! Asking the runtime: unary calls of gRPC.
//!
//! Owns: one call (grpc's `PROTOCOL-HTTP2.md`): its path, the five bytes before a message, the status at the end, and
//! bounds on what comes back. HTTP/2 is h2's. Must not own: what is asked (`mod`), waiting (`socket`).

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::path::Path;
use std::pin::pin;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, StatusCode, Version};

use super::socket::{self, SLOW, Socket};

/// The longest answer, in bytes: the annotations of an object of Kubernetes' have 256 KiB at most.
const MESSAGE_MAX: usize = 1 << 20;
/// The longest list of headers, in bytes.
const HEADERS_MAX: u32 = 16 << 10;
/// Before each message: whether it is compressed, and its length.
const FRAME: usize = 5;
/// The service: as the runtimes of the last years have it, and as older ones had it (containerd before 1.6, cri-dockerd
/// before 0.3). What is asked for here has the same fields in both.
const SERVICE: &str = "runtime.v1.RuntimeService";
const OLD_SERVICE: &str = "runtime.v1alpha2.RuntimeService";

const NO_GRPC: &str = "the runtime gave no proper answer";
const TOO_LONG: &str = "the runtime's answer is too long";

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The runtime knows no such thing.
    NotFound,
    /// The runtime knows no such call.
    Unimplemented,
    /// Anything else.
    Other(&'static str),
}

impl From<&'static str> for Failure {
    fn from(why: &'static str) -> Self {
        Self::Other(why)
    }
}

/// A connection on which calls can be made.
#[derive(Debug)]
pub(super) struct Client {
    requests: SendRequest<Bytes>,
    /// What it is called here.
    service: Cell<&'static str>,
}

/// Holds one conversation with whoever listens on a socket.
pub(super) fn converse<T, F: Future<Output = Result<T, &'static str>>>(
    path: &Path,
    until: Instant,
    talk: impl FnOnce(Client) -> F,
) -> Result<T, &'static str> {
    let socket = socket::open(path)?;
    socket::run(&socket, until, async {
        let (requests, connection) = handshake(socket.clone()).await.map_err(told)?;
        both(connection, talk(Client { requests, service: Cell::new(SERVICE) })).await
    })
}

async fn handshake(socket: Socket) -> Result<(SendRequest<Bytes>, Connection<Socket, Bytes>), h2::Error> {
    Builder::new().enable_push(false).max_header_list_size(HEADERS_MAX).handshake(socket).await
}

/// The conversation, and the connection below it, which has to be driven as well.
async fn both<T>(
    connection: impl Future<Output = Result<(), h2::Error>>,
    talk: impl Future<Output = Result<T, &'static str>>,
) -> Result<T, &'static str> {
    let (mut connection, mut talk) = (pin!(connection), pin!(talk));
    let mut ended = None;
    poll_fn(|context| {
        if ended.is_none()
            && let Poll::Ready(end) = connection.as_mut().poll(context)
        {
            ended = Some(end);
        }
        // What had come before the end counts.
        match (talk.as_mut().poll(context), &mut ended) {
            (Poll::Pending, Some(end)) => {
                let end = std::mem::replace(end, Ok(()));
                Poll::Ready(Err(end.err().map_or("the runtime ended the connection", told)))
            }
            (talked, _) => talked,
        }
    })
    .await
}

impl Client {
    /// Calls a method of the runtime's service with a message; the message that it answers. A runtime that does not know it
    /// by its name is asked by the old one, once in a conversation.
    pub(super) async fn call(&self, method: &str, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let service = self.service.get();
        let mut answer = self.call_in((service, method), None, message).await;
        if answer == Err(Failure::Unimplemented) && service == SERVICE {
            self.service.set(OLD_SERVICE);
            answer = self.call_in((OLD_SERVICE, method), None, message).await;
        }
        answer
    }

    /// Calls a method of any service; `namespace`: of containerd's own, which takes one.
    pub(super) async fn call_in(
        &self,
        (service, method): (&str, &str),
        namespace: Option<&str>,
        message: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let mut request = Request::builder()
            .method(Method::POST)
            .version(Version::HTTP_2)
            .uri(format!("http://localhost/{service}/{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(namespace) = namespace {
            request = request.header("containerd-namespace", namespace);
        }
        let request = request.body(()).map_err(|_| NO_GRPC)?;
        let length = u32::try_from(message.len()).map_err(|_| TOO_LONG)?;
        let framed = [&[0][..], &length.to_be_bytes(), message].concat();
        let mut requests = self.requests.clone().ready().await.map_err(told)?;
        let (answer, mut body) = requests.send_request(request, false).map_err(told)?;
        body.send_data(Bytes::from(framed), true).map_err(told)?;
        let (head, mut body) = answer.await.map_err(told)?.into_parts();
        if head.status != StatusCode::OK || !is_grpc(&head.headers) {
            return Err(NO_GRPC.into());
        }
        // What fails at once has no body, and its status among the first headers.
        if head.headers.contains_key("grpc-status") {
            status(&head.headers)?;
        }
        let framed = whole(&mut body).await?;
        let trailers = poll_fn(|context| body.poll_trailers(context)).await.map_err(told)?;
        status(&trailers.unwrap_or(head.headers))?;
        unframed(framed)
    }
}

/// All of a body.
async fn whole(body: &mut RecvStream) -> Result<Vec<u8>, Failure> {
    let mut all = Vec::new();
    while let Some(part) = poll_fn(|context| body.poll_data(context)).await {
        let part = part.map_err(told)?;
        if all.len() + part.len() > MESSAGE_MAX + FRAME {
            return Err(TOO_LONG.into());
        }
        all.extend_from_slice(&part);
        body.flow_control().release_capacity(part.len()).map_err(told)?;
    }
    Ok(all)
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

/// By gRPC's numbers (`doc/statuscodes.md`).
fn status(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("grpc-status").map(http::HeaderValue::as_bytes) {
        Some(b"0") => Ok(()),
        Some(b"4") => Err(SLOW.into()),
        Some(b"5") => Err(Failure::NotFound),
        Some(b"12") => Err(Failure::Unimplemented),
        Some(_) => Err("the runtime refused".into()),
        None => Err(NO_GRPC.into()),
    }
}

/// The one message of an answer.
fn unframed(mut framed: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let Some((head, message)) = framed.split_at_checked(FRAME) else { return Err(NO_GRPC.into()) };
    let [0, length @ ..] = head else { return Err(NO_GRPC.into()) };
    let length = <[u8; 4]>::try_from(length).map(u32::from_be_bytes).map_err(|_| NO_GRPC)?;
    if usize::try_from(length) != Ok(message.len()) {
        return Err(NO_GRPC.into());
    }
    framed.drain(..FRAME);
    Ok(framed)
}

/// What went wrong below the calls.
fn told(error: h2::Error) -> &'static str {
    match error.reason() {
        Some(Reason::REFUSED_STREAM | Reason::ENHANCE_YOUR_CALM) => "the runtime refused",
        Some(Reason::FLOW_CONTROL_ERROR) => TOO_LONG,
        Some(Reason::NO_ERROR) => "the runtime ended the connection",
        Some(_) => NO_GRPC,
        None if error.get_io().is_some_and(|error| error.to_string() == "too many bytes") => TOO_LONG,
        None => "the runtime ended the connection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_whole_message() {
        assert_eq!(unframed(vec![0, 0, 0, 0, 2, 7, 8]), Ok(vec![7, 8]));
        assert_eq!(unframed(vec![0; 5]), Ok(Vec::new()));
        for bad in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 1, 7], &[0, 0, 0, 0, 2, 7], &[0, 0, 0, 0, 1, 7, 0]]
        {
            assert_eq!(unframed(bad.to_vec()), Err(NO_GRPC.into()), "{bad:?}");
        }
    }
}
