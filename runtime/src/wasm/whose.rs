//! Whose call it is, where an instance serves several requests at the same time:
//! each has a log and a count of what it sends of its own.

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::StoreContextMut;
use wasmtime::component::GuestTaskId;

use super::host::Host;
use crate::capability::fetch::Serving;
use crate::capability::log::Log;
use crate::request::Request;

/// The requests that a store serves at the same time. Of one of them, what is its
/// own is where the host's functions find it.
#[derive(Default)]
pub(super) struct Whose {
    /// None until the first comes: most stores serve one request at a time.
    now: Option<(GuestTaskId, Arc<Request>)>,
    others: HashMap<GuestTaskId, Own>,
}

/// What is a request's own.
struct Own {
    request: Arc<Request>,
    log: Log,
    serving: Serving,
}

impl Host {
    /// One more request is served, by this task of the guest.
    pub(super) fn attend(&mut self, task: GuestTaskId, request: &Arc<Request>, log: Log) {
        self.memory.tell_another(request);
        if let Some(frozen) = &self.frozen {
            frozen.start();
        }
        let (request, serving) = (request.clone(), Serving::new(request));
        self.whose.others.insert(task, Own { request, log, serving });
        self.turn_to(task);
    }

    /// A request has been served.
    pub(super) fn dismiss(&mut self, task: GuestTaskId) {
        self.turn_to(task);
        if let Some((_, request)) = self.whose.now.take_if(|(now, _)| *now == task) {
            request.spent.add_log_dropped(self.output.log().end());
            self.fetch.turn_to(Serving::default());
        }
        self.whose.others.remove(&task);
        // What its guest still says is said in the name of one that is served.
        if self.whose.now.is_none()
            && let Some(other) = self.whose.others.keys().next().copied()
        {
            self.turn_to(other);
        }
    }

    /// Whoever calls out next does so for this task's request.
    fn turn_to(&mut self, task: GuestTaskId) {
        if self.whose.now.as_ref().is_some_and(|(now, _)| *now == task) {
            return;
        }
        let Some(own) = self.whose.others.remove(&task) else { return };
        let log = std::mem::replace(&mut *self.output.log(), own.log);
        let serving = self.fetch.turn_to(own.serving);
        self.memory.tell_another(&own.request);
        if let Some((before, request)) = self.whose.now.replace((task, own.request)) {
            self.whose.others.insert(before, Own { request, log, serving });
        }
    }

    /// What the requests still have to say that are not served to their end.
    pub(super) fn dismiss_all(&mut self) {
        let others = self.whose.others.keys().copied();
        let all: Vec<GuestTaskId> =
            others.chain(self.whose.now.as_ref().map(|(now, _)| *now)).collect();
        all.into_iter().for_each(|task| self.dismiss(task));
    }
}

/// The guest is entered: finds the request for which it runs. A guest that waits
/// within a call, and not for its tasks, is not entered again; so what it calls then
/// may be taken for another's of its app.
///
/// # Errors
/// The store does not know who runs, which is a mistake of wasmtime's.
pub(super) fn find(store: &mut StoreContextMut<'_, Host>) -> wasmtime::Result<()> {
    if store.data().whose.is_one() {
        return Ok(());
    }
    // The first of a chain of calls is the request's own task.
    let task = store.async_call_stack()?.last();
    if let Some(task) = task {
        store.data_mut().turn_to(task);
    }
    Ok(())
}

impl Whose {
    /// Whether there is nobody else.
    fn is_one(&self) -> bool {
        self.others.is_empty()
    }
}
