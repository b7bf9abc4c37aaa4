//! A request's way through a component of `wasi:http`: both bodies are streams,
//! and the guest goes on after it has set the head of its answer.

mod eager;
mod fate;
mod handler;
mod outgoing;
mod proxy;
mod pump;
mod room;
mod shared;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt, Empty, Full};
use tokio::sync::oneshot;
use wasmtime_wasi_http::{Error, WasiBody};

use super::app::App;
use super::convert;
use super::world::World;
use crate::body::Body;
use crate::error::{GuestError, Refusal};
use crate::observe::{Severity, Subject};
use crate::request::{Request, Upload};
use crate::respond::{Response, has_no_body};
use crate::tenant::Permit;
use fate::Fate;
pub(super) use handler::Function as FunctionOf3;
use outgoing::Outgoing;
pub(super) use proxy::Function as FunctionOf2;
pub(super) use room::Rooms;

/// What a guest set as its answer, or the error that it set in its place.
type Set = Result<http::Response<WasiBody>, String>;

/// A guest that serves a request.
type Guest = Pin<Box<dyn Future<Output = Result<(), GuestError>> + Send>>;

/// Where a request is served, for the log.
#[derive(Clone)]
struct Place {
    app: Arc<App>,
    request: Arc<Request>,
    route: Arc<str>,
}

/// What a guest is given to serve a request.
struct Given {
    upload: Upload,
    set: oneshot::Sender<Set>,
    fate: Fate,
}

impl App {
    /// Answers a request with an instance of this app, within its limits. The
    /// guest goes on while its answer is sent.
    pub(crate) async fn serve(
        self: &Arc<App>,
        request: &Arc<Request>,
        upload: Upload,
        mut refused: oneshot::Receiver<Refusal>,
        permit: Permit,
        route: &Arc<str>,
    ) -> Result<Response, Refusal> {
        let place = Place { app: self.clone(), request: request.clone(), route: route.clone() };
        let (sender, mut answer) = oneshot::channel();
        let fate = Fate::default();
        let given = Given { upload, set: sender, fate: fate.clone() };
        let mut guest: Guest = match self.rooms.are_shared() {
            true => Box::pin(place.clone().share(given, permit)),
            false => Box::pin(place.clone().run(given, permit)),
        };
        let mut set = None;
        tokio::select! {
            biased;
            ended = &mut guest => {
                if let Ok(refusal) = refused.try_recv() {
                    return Err(refusal);
                }
                ended?;
                let set = set.or_else(|| answer.try_recv().ok());
                let set = set.ok_or_else(|| GuestError::NoAnswer("it set none".to_owned()))?;
                Ok(whole(set, request)?)
            }
            Ok(refusal) = &mut refused => Err(refusal),
            // Most that have set their answer end at their next turn.
            Ok(()) = in_turn(&mut answer, &mut set) => {
                let set = set.ok_or_else(|| GuestError::NoAnswer("it set none".to_owned()))?;
                Ok(place.stream(set, guest, fate)?)
            }
        }
    }
}

/// Waits for an answer to be set, and until everyone else who is ready had a
/// turn.
async fn in_turn(
    answer: &mut oneshot::Receiver<Set>,
    set: &mut Option<Set>,
) -> Result<(), oneshot::error::RecvError> {
    *set = Some(answer.await?);
    tokio::task::yield_now().await;
    Ok(())
}

impl Place {
    /// Runs a guest to its end.
    async fn run(self, given: Given, permit: Permit) -> Result<(), GuestError> {
        let Place { app, request, route } = self;
        let (of_guest, app_of_guest) = (request.clone(), app.clone());
        let guest = Box::pin(async move {
            match app_of_guest.component.world {
                World::Service => handler::run(&app_of_guest, &of_guest, &route, given).await,
                _ => proxy::run(&app_of_guest, &of_guest, &route, given).await,
            }
        });
        app.within_limits(&request, permit, guest).await
    }

    /// The answer of a guest that goes on while it is sent.
    fn stream(self, set: Set, guest: Guest, fate: Fate) -> Result<Response, GuestError> {
        let (head, body) = answered(set)?.into_parts();
        let (status, mut headers, declared) = convert::head(head)?;
        let length = declared.clone().map(convert::length).transpose()?;
        headers.extend(declared.map(|length| (http::header::CONTENT_LENGTH, length)));
        let guest = tokio::spawn(self.clone().go_on(guest));
        // What nobody is sent is not taken: the guest is told so.
        let body = if self.request.method == Method::HEAD || has_no_body(status) {
            Empty::new().map_err(|never| match never {}).boxed_unsync()
        } else {
            Outgoing::new(body, length, fate, self, guest.abort_handle()).boxed_unsync()
        };
        let mut response = Response::new(Body::Streamed(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// Lets a guest end whose answer is being sent.
    async fn go_on(self, guest: Guest) {
        if let Err(error) = guest.await {
            self.broke_off(&error);
        }
    }

    /// Says why an answer has no end.
    fn broke_off(&self, why: &dyn std::fmt::Display) {
        let Place { app, request, route } = self;
        let (route, request_id) = (Some(&**route), Some(request.id));
        let subject = Subject { tenant: &app.tenant, route, request: request_id };
        let what = format_args!("{why}; the answer broke off");
        subject.report(Severity::Error, &what, Some(&request.spent));
    }
}

/// The request as `wasi:http` takes it.
fn incoming(request: &Request, upload: Upload) -> http::Request<WasiBody> {
    let body = upload.map_err(|_| Error::HttpRequestBodySize(None)).boxed_unsync();
    let mut incoming = http::Request::new(body);
    *incoming.method_mut() = request.method.clone();
    *incoming.uri_mut() = absolute(request);
    *incoming.headers_mut() = request.headers.clone();
    incoming
}

/// The target with its scheme and authority. HTTP/1.0 may send no host;
/// `wasi:http` must have one.
fn absolute(request: &Request) -> Uri {
    let sent = request.uri.authority().cloned();
    let host = request.headers.get(http::header::HOST);
    let named = || host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if request.secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = sent.or_else(named).or_else(|| Some(Authority::from_static("localhost")));
    parts.path_and_query = request.uri.path_and_query().cloned();
    Uri::from_parts(parts).unwrap_or_else(|_| request.uri.clone())
}

fn answered(set: Set) -> Result<http::Response<WasiBody>, GuestError> {
    set.map_err(|code| GuestError::NoAnswer(format!("it set the error {code}")))
}

/// The answer of a guest that has ended: what is there of the body is all.
fn whole(set: Set, request: &Request) -> Result<Response, GuestError> {
    let (head, body) = answered(set)?.into_parts();
    let (status, headers, declared) = convert::head(head)?;
    let (bytes, trailers) = collect(body)?;
    let mut response = convert::whole(status, headers, declared, bytes, request)?;
    if let Some(trailers) = trailers {
        let add = |body: Body| match body {
            Body::Bytes(bytes) if !bytes.is_empty() => {
                let trailers = std::future::ready(Some(Ok(trailers)));
                let body = Full::new(bytes).with_trailers(trailers);
                Body::Streamed(body.map_err(|never| match never {}).boxed_unsync())
            }
            body => body,
        };
        response = response.map(add);
    }
    Ok(response)
}

/// A body that nobody goes on with.
fn collect(mut body: WasiBody) -> Result<(Bytes, Option<HeaderMap>), GuestError> {
    let mut pieces = Vec::new();
    let mut trailers = None;
    let mut cx = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut body).poll_frame(&mut cx) {
            Poll::Ready(None) => break,
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => pieces.push(piece),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
            Poll::Pending | Poll::Ready(Some(Err(_))) => {
                return Err(convert::invalid("it did not finish the body".to_owned()));
            }
        }
    }
    if let Some(trailers) = &mut trailers {
        convert::check_trailers(trailers)?;
    }
    let one = if pieces.len() == 1 { pieces.pop() } else { None };
    let bytes = one.unwrap_or_else(|| {
        let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
        pieces.iter().for_each(|piece| all.extend_from_slice(piece));
        all.freeze()
    });
    Ok((bytes, trailers))
}
