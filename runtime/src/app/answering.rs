//! From a request to its answer, written down when it has ended.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Method};
use hyper::body::Incoming;

use super::Shared;
use crate::body::Observed;
use crate::error::Refusal;
use crate::observe::Visit;
use crate::peer::Peer;
use crate::request::{Misunderstood, Payload, Request, Watch};
use crate::respond::{self, Asked, ErrorPages, Response, refuse};
use crate::site::Step;

impl Shared {
    /// The answer to any request, or what makes it; `refused` is what is known
    /// against the request already, `watch` is told how its body arrives.
    pub(crate) fn handle(
        &self,
        request: hyper::Request<Incoming>,
        peer: &Peer,
        refused: Option<Refusal>,
        watch: Option<Box<dyn Watch>>,
    ) -> Answering {
        let site = self.site.load();
        let asked = Asked::of(request.headers());
        let head = request.method() == Method::HEAD;
        let asking = peer.asking(request.headers());
        let (id, log) = (self.ids.next(), site.access_log.clone());
        let mut visit = Visit::start(id, log, asking.remote);
        visit.set_server_log(self.common.server_log.for_debug());
        let most = self.limits.header_count;
        let (parts, body) = request.into_parts();
        let checked = match refused {
            Some(refusal) => Err(Misunderstood::new(refusal, parts)),
            None => Request::check(parts, id, asking, most),
        };
        let request = match checked {
            Ok(request) => request,
            Err(misunderstood) => {
                let (refusal, method, uri) = misunderstood.into_parts();
                visit.misunderstood(method, uri);
                let answer = refuse(&refusal, &asked, &visit, &ErrorPages::default());
                return Answering::made(answer, head, visit);
            }
        };
        visit.request = Some(request.clone());
        match site.answer(&request, peer, &asked, &mut visit) {
            Step::Answered(answer) => {
                drop(request);
                Answering::made(answer, head, visit)
            }
            Step::Run(run) => Answering::Running(Box::pin(async move {
                let payload = Payload::new(body, watch);
                let answer = run.answer(&request, payload, &asked, &mut visit).await;
                drop(request);
                respond::finish(answer, head, visit)
            })),
        }
    }

    /// Writes down a request that could not be read: it was answered already.
    pub(crate) fn note_refused(&self, peer: &Peer, refusal: &Refusal) {
        let log = self.site.load().access_log.clone();
        let remote = peer.asking(&HeaderMap::new()).remote;
        let mut visit = Visit::start(self.ids.next(), log, remote);
        visit.set_server_log(self.common.server_log.for_debug());
        visit.debug(refusal);
        visit.answered(respond::status(refusal));
    }
}

/// An answer that is made, or on its way. Only apps are waited for: all else is
/// answered without a task's state, which costs as much as the answer itself.
pub(crate) enum Answering {
    /// None once it was taken.
    Made(Option<http::Response<Observed>>),
    Running(Pin<Box<dyn Future<Output = http::Response<Observed>> + Send>>),
}

impl Answering {
    /// Whether an app is still to answer.
    pub(crate) fn is_of_app(&self) -> bool {
        matches!(self, Answering::Running(_))
    }

    fn made(answer: Response, head: bool, visit: Box<Visit>) -> Answering {
        Answering::Made(Some(respond::finish(answer, head, visit)))
    }
}

impl Future for Answering {
    type Output = http::Response<Observed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<http::Response<Observed>> {
        match self.get_mut() {
            Answering::Made(answer) => answer.take().map_or(Poll::Pending, Poll::Ready),
            Answering::Running(answer) => answer.as_mut().poll(cx),
        }
    }
}
